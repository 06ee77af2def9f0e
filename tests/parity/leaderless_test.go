package parity

import (
	"context"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// patience is for calls that a server itself gives up, after seven seconds: longer by so much
// that it is never this side that does.
const patience = 40 * time.Second

var leaderlessScripts = []Script{
	{Name: "A1.10b_reads_without_leader", Run: func(ctx context.Context, s *Session) {
		s.Put("a", "1")
		s.loseLeader(ctx)
		s.Range(&pb.RangeRequest{Key: []byte("a"), Serializable: true})
		_, _ = s.KV.Range(requireLeader(ctx), &pb.RangeRequest{Key: []byte("a")})
		_, _ = s.KV.Range(requireLeader(ctx), &pb.RangeRequest{Key: []byte("a"), Serializable: true})
		s.patiently(ctx, "a linearizable range", func(ctx context.Context) (proto.Message, error) {
			return s.KV.Range(ctx, &pb.RangeRequest{Key: []byte("a")})
		})
		s.regainLeader(ctx)
		s.Get("a")
	}},
	{Name: "A1.10c_serializable_reads_without_leader", Run: func(ctx context.Context, s *Session) {
		s.Put("a", "1")
		s.Put("a", "2")
		s.loseLeader(ctx)
		for _, request := range []*pb.RangeRequest{
			{Key: []byte("a"), Revision: 2}, {Key: []byte("a"), Revision: 4}, {Key: []byte{0}, RangeEnd: []byte{0}},
		} {
			request.Serializable = true
			s.Range(request)
		}
	}},
	{Name: "A6.16b_watches_without_leader", Run: func(ctx context.Context, s *Session) {
		needy, patient := s.WatchWith(requireLeader(ctx)), s.Watch()
		needy.CreatePrefix("a", 0)
		patient.CreatePrefix("a", 0)
		s.Put("a", "1")
		needy.Events(1)
		patient.Events(1)
		s.loseLeader(ctx)
		needy.End()
		s.WatchWith(requireLeader(ctx)).End()
		s.regainLeader(ctx)
		s.Put("a", "2")
		patient.Events(1)
		needy = s.WatchWith(requireLeader(ctx))
		needy.CreatePrefix("a", 2)
		needy.Events(2)
	}},
	{Name: "A8.1b_status_without_leader", Run: func(ctx context.Context, s *Session) {
		s.Put("a", "1")
		s.loseLeader(ctx)
		_, _ = s.Maintenance.Status(ctx, &pb.StatusRequest{})
		s.HTTP("GET", "/health", "")
		s.HTTP("GET", "/health?serializable=true", "")
		s.HTTP("GET", "/livez", "")
		s.regainLeader(ctx)
		s.Note("no errors any more: %v", s.errorsOf(ctx))
		s.HTTP("GET", "/health", "")
	}},
	{Name: "A12.1b_calls_that_require_a_leader", Run: func(ctx context.Context, s *Session) {
		s.Put("a", "1")
		s.loseLeader(ctx)
		_, _ = s.KV.Put(requireLeader(ctx), &pb.PutRequest{Key: []byte("a")})
		_, _ = s.KV.Compact(requireLeader(ctx), &pb.CompactionRequest{Revision: 1})
		_, _ = s.Lease.LeaseGrant(requireLeader(ctx), &pb.LeaseGrantRequest{ID: 8, TTL: 1000})
		_, _ = s.Cluster.MemberList(ctx, &pb.MemberListRequest{})
		s.patiently(ctx, "a linearizable list of members", func(ctx context.Context) (proto.Message, error) {
			return s.Cluster.MemberList(ctx, &pb.MemberListRequest{Linearizable: true})
		})
		s.regainLeader(ctx)
		s.All()
	}},
}

var leaderlessDivergences = []Divergence{{
	Name:     "A1.10d_serializable_transaction_without_leader",
	Reason:   "every transaction goes to the leader in Taffrail, also one that only reads and may read what is old",
	Etcd:     "OK",
	Taffrail: "Unavailable etcdserver: request timed out",
	Run: func(ctx context.Context, s *Session) string {
		s.Put("a", "1")
		s.loseLeader(ctx)
		patient, cancel := context.WithTimeout(Quiet(ctx), patience)
		defer cancel()
		read := getOp(&pb.RangeRequest{Key: []byte("a"), Serializable: true})
		_, err := s.KV.Txn(patient, &pb.TxnRequest{Success: ops(read)})
		return outcome(err)
	},
}}

// requireLeader is what clientv3.WithRequireLeader makes of a context.
func requireLeader(ctx context.Context) context.Context {
	return metadata.AppendToOutgoingContext(ctx, "hasleader", "true")
}

// outcome is an error's code and text, or OK.
func outcome(err error) string {
	if err == nil {
		return "OK"
	}
	state := status.Convert(err)
	return state.Code().String() + " " + state.Message()
}

// patiently makes a call that the server may take long to give up.
func (s *Session) patiently(ctx context.Context, what string, call func(context.Context) (proto.Message, error)) {
	ctx, cancel := context.WithTimeout(Quiet(ctx), patience)
	defer cancel()
	s.Note("%s", what)
	answer, err := call(ctx)
	s.Record(answer, err)
}

func (s *Session) restart(member *Server) {
	if err := member.launch(); err != nil {
		s.Fail("start: %v", err)
	}
}

func (s *Session) keepAliveOnce(ctx context.Context, id int64) error {
	stream, err := s.Lease.LeaseKeepAlive(ctx)
	if err != nil {
		return err
	}
	if err := stream.Send(&pb.LeaseKeepAliveRequest{ID: id}); err != nil {
		return err
	}
	_, err = stream.Recv()
	return err
}

// errorsOf are the errors that the member's status names.
func (s *Session) errorsOf(ctx context.Context) []string {
	answer, err := s.Maintenance.Status(Quiet(ctx), &pb.StatusRequest{})
	if err != nil {
		s.Fail("status: %v", err)
	}
	return answer.Errors
}

// loseLeader kills all other members and waits until the one that is left has seen it.
func (s *Session) loseLeader(ctx context.Context) {
	for _, member := range s.Members {
		if member != s.Server {
			member.Kill()
		}
	}
	for deadline := time.Now().Add(startTimeout); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		_, err := s.KV.Range(Quiet(requireLeader(ctx)), &pb.RangeRequest{Key: []byte("a"), Serializable: true})
		if status.Convert(err).Message() == "etcdserver: no leader" {
			s.Note("the leader is lost")
			return
		}
	}
	s.Fail("the leader is not missed")
}

// regainLeader starts the others again and waits until all agree.
func (s *Session) regainLeader(ctx context.Context) {
	for _, member := range s.Members {
		if member != s.Server {
			s.restart(member)
		}
	}
	s.agree(ctx)
	s.Note("there is a leader again")
}
