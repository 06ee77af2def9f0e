package parity

import (
	"context"
	"strings"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	electionpb "go.etcd.io/etcd/server/v3/etcdserver/api/v3election/v3electionpb"
	lockpb "go.etcd.io/etcd/server/v3/etcdserver/api/v3lock/v3lockpb"
)

// atOnce is less than a server waits for a leader, and more than any answer takes.
const atOnce = 3 * time.Second

// call is one that is made while nobody leads.
type call struct {
	name string
	make func(ctx context.Context, s *Session) error
}

// withoutLeader makes all calls at the same time, since most of them take seven seconds, and
// tells what each has come to, and whether it was waited for.
func withoutLeader(ctx context.Context, s *Session, calls []call) []string {
	s.Put("a", "1")
	s.Grant(7, 1000)
	s.loseLeader(ctx)
	patient, cancel := context.WithTimeout(Quiet(ctx), patience)
	defer cancel()
	answers := make([]chan string, len(calls))
	for i, call := range calls {
		answers[i] = make(chan string, 1)
		go func() {
			begun := time.Now()
			answer := outcome(call.make(patient, s))
			if time.Since(begun) > atOnce {
				answer += ", after a while"
			}
			answers[i] <- call.name + ": " + answer
		}()
	}
	var lines []string
	for _, answer := range answers {
		lines = append(lines, <-answer)
	}
	return lines
}

var leaderlessCallScripts = []Script{
	{Name: "A12.1c_calls_without_leader", Run: func(ctx context.Context, s *Session) {
		for _, line := range withoutLeader(ctx, s, equalWithoutLeader) {
			s.Note("%s", line)
		}
	}},
}

// leaderlessCallDivergences leave out the removal and the update of a member, for which etcd waits
// for as long as its client does, and Taffrail for seven seconds.
var leaderlessCallDivergences = []Divergence{{
	Name: "A12.1d_other_calls_without_leader",
	Reason: "in etcd alarms, users and downgrades are proposed even to be looked at, and a member is not added " +
		"unless all others are connected to; in Taffrail whoever asks for leases, for what is hashed with them, or for " +
		"rows to be deleted from the log asks the leader",
	Etcd: "leases: OK; member add: Unavailable etcdserver: unhealthy cluster; " +
		"learner add: Unavailable etcdserver: unhealthy cluster; " +
		"alarms: DeadlineExceeded context deadline exceeded, after a while; hash: OK; " +
		"downgrade: Unavailable etcdserver: request timed out, after a while; defragment: OK; " +
		"auth status: DeadlineExceeded context deadline exceeded, after a while",
	Taffrail: "leases: Unavailable etcdserver: no leader, after a while; " +
		"member add: Unavailable etcdserver: unhealthy cluster, after a while; " +
		"learner add: Unavailable etcdserver: unhealthy cluster, after a while; " +
		"alarms: OK; hash: Unavailable etcdserver: no leader, after a while; " +
		"downgrade: Unimplemented taffrail: the log has no older format of etcd to be taken back to; " +
		"defragment: Unavailable etcdserver: no leader, after a while; auth status: OK",
	Run: func(ctx context.Context, s *Session) string {
		return strings.Join(withoutLeader(ctx, s, othersWithoutLeader), "; ")
	},
}}

// equalWithoutLeader are calls that both answer alike.
var equalWithoutLeader = []call{
	{"put", func(ctx context.Context, s *Session) error {
		_, err := s.KV.Put(ctx, &pb.PutRequest{Key: []byte("a")})
		return err
	}},
	{"delete", func(ctx context.Context, s *Session) error {
		_, err := s.KV.DeleteRange(ctx, &pb.DeleteRangeRequest{Key: []byte("a")})
		return err
	}},
	{"writing transaction", func(ctx context.Context, s *Session) error {
		_, err := s.KV.Txn(ctx, &pb.TxnRequest{Success: ops(putOp(&pb.PutRequest{Key: []byte("a")}))})
		return err
	}},
	{"reading transaction", func(ctx context.Context, s *Session) error {
		_, err := s.KV.Txn(ctx, &pb.TxnRequest{Success: ops(getOp(&pb.RangeRequest{Key: []byte("a")}))})
		return err
	}},
	{"compact", func(ctx context.Context, s *Session) error {
		_, err := s.KV.Compact(ctx, &pb.CompactionRequest{Revision: 1})
		return err
	}},
	{"physical compact", func(ctx context.Context, s *Session) error {
		_, err := s.KV.Compact(ctx, &pb.CompactionRequest{Revision: 1, Physical: true})
		return err
	}},
	{"grant", func(ctx context.Context, s *Session) error {
		_, err := s.Lease.LeaseGrant(ctx, &pb.LeaseGrantRequest{ID: 8, TTL: 1000})
		return err
	}},
	{"revoke", func(ctx context.Context, s *Session) error {
		_, err := s.Lease.LeaseRevoke(ctx, &pb.LeaseRevokeRequest{ID: 7})
		return err
	}},
	{"keepalive", func(ctx context.Context, s *Session) error { return s.keepAliveOnce(ctx, 7) }},
	{"timetolive", func(ctx context.Context, s *Session) error {
		_, err := s.Lease.LeaseTimeToLive(ctx, &pb.LeaseTimeToLiveRequest{ID: 7})
		return err
	}},
	{"timetolive with keys", func(ctx context.Context, s *Session) error {
		_, err := s.Lease.LeaseTimeToLive(ctx, &pb.LeaseTimeToLiveRequest{ID: 7, Keys: true})
		return err
	}},
	{"member promote", func(ctx context.Context, s *Session) error {
		_, err := s.Cluster.MemberPromote(ctx, &pb.MemberPromoteRequest{ID: 1})
		return err
	}},
	{"disarm", func(ctx context.Context, s *Session) error {
		_, err := s.Maintenance.Alarm(ctx, &pb.AlarmRequest{Action: pb.AlarmRequest_DEACTIVATE, Alarm: pb.AlarmType_NOSPACE})
		return err
	}},
	{"hashkv", func(ctx context.Context, s *Session) error {
		_, err := s.Maintenance.HashKV(ctx, &pb.HashKVRequest{})
		return err
	}},
	{"snapshot", func(ctx context.Context, s *Session) error {
		stream, err := s.Maintenance.Snapshot(ctx, &pb.SnapshotRequest{})
		if err == nil {
			_, err = stream.Recv()
		}
		return err
	}},
	{"move leader", func(ctx context.Context, s *Session) error {
		_, err := s.Maintenance.MoveLeader(ctx, &pb.MoveLeaderRequest{TargetID: 1})
		return err
	}},
	{"lock", func(ctx context.Context, s *Session) error {
		_, err := s.Lock.Lock(ctx, &lockpb.LockRequest{Name: []byte("l"), Lease: 7})
		return err
	}},
	{"unlock", func(ctx context.Context, s *Session) error {
		_, err := s.Lock.Unlock(ctx, &lockpb.UnlockRequest{Key: []byte("l/7")})
		return err
	}},
	{"campaign", func(ctx context.Context, s *Session) error {
		_, err := s.Election.Campaign(ctx, &electionpb.CampaignRequest{Name: []byte("e"), Lease: 7})
		return err
	}},
	{"leader of an election", func(ctx context.Context, s *Session) error {
		_, err := s.Election.Leader(ctx, &electionpb.LeaderRequest{Name: []byte("e")})
		return err
	}},
}

var othersWithoutLeader = []call{
	{"leases", func(ctx context.Context, s *Session) error {
		_, err := s.Lease.LeaseLeases(ctx, &pb.LeaseLeasesRequest{})
		return err
	}},
	{"member add", func(ctx context.Context, s *Session) error {
		_, err := s.Cluster.MemberAdd(ctx, &pb.MemberAddRequest{PeerURLs: []string{"http://127.0.0.1:1"}})
		return err
	}},
	{"learner add", func(ctx context.Context, s *Session) error {
		_, err := s.Cluster.MemberAdd(ctx, &pb.MemberAddRequest{PeerURLs: []string{"http://127.0.0.1:1"}, IsLearner: true})
		return err
	}},
	{"alarms", func(ctx context.Context, s *Session) error {
		_, err := s.Maintenance.Alarm(ctx, &pb.AlarmRequest{})
		return err
	}},
	{"hash", func(ctx context.Context, s *Session) error {
		_, err := s.Maintenance.Hash(ctx, &pb.HashRequest{})
		return err
	}},
	{"downgrade", func(ctx context.Context, s *Session) error {
		_, err := s.Maintenance.Downgrade(ctx, &pb.DowngradeRequest{Action: pb.DowngradeRequest_VALIDATE, Version: "3.6.0"})
		return err
	}},
	{"defragment", func(ctx context.Context, s *Session) error {
		_, err := s.Maintenance.Defragment(ctx, &pb.DefragmentRequest{})
		return err
	}},
	{"auth status", func(ctx context.Context, s *Session) error {
		_, err := s.Auth.AuthStatus(ctx, &pb.AuthStatusRequest{})
		return err
	}},
}
