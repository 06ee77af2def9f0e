package parity

import (
	"context"
	"crypto/tls"
	"fmt"
	"math"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	electionpb "go.etcd.io/etcd/server/v3/etcdserver/api/v3election/v3electionpb"
	lockpb "go.etcd.io/etcd/server/v3/etcdserver/api/v3lock/v3lockpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/protobuf/proto"
)

// Session is a recording connection to one server: raw gRPC clients and shorthands
// for the calls that scripts make most.
type Session struct {
	// Server is the member that the session is connected to.
	Server *Server
	// Members is the cluster that it belongs to.
	Members Members
	// Names are the values that this server chose itself.
	Names *Names
	// Seen is what a Divergence observed.
	Seen string

	KV          pb.KVClient
	Watcher     pb.WatchClient
	Lease       pb.LeaseClient
	Cluster     pb.ClusterClient
	Maintenance pb.MaintenanceClient
	Auth        pb.AuthClient
	Lock        lockpb.LockClient
	Election    electionpb.ElectionClient
	Health      healthpb.HealthClient
	Connection  *grpc.ClientConn

	ctx      context.Context
	recorder *recorder
}

func openSession(ctx context.Context, members Members) (*Session, error) {
	names := newNames()
	server, err := members.choose(ctx, names)
	if err != nil {
		return nil, err
	}
	names.Replace(":"+server.ClientPort, ":<client port>")
	names.Replace(":"+server.PeerPort, ":<peer port>")
	for _, member := range members {
		names.Replace(":"+member.MetricsPort, ":<metrics port>")
		names.Replace(member.Dir, "<dir>")
	}
	return openNamedSession(ctx, members, server, names)
}

func openNamedSession(ctx context.Context, members Members, server *Server, names *Names) (*Session, error) {
	s := &Session{Server: server, Members: members, Names: names, ctx: ctx, recorder: &recorder{names: names}}
	connection, err := grpc.NewClient("passthrough:///"+server.Address(), s.DialOptions(server.TLS())...)
	if err != nil {
		return nil, err
	}
	s.use(connection)
	if server.Flavour.Name == "etcd" {
		s.settle()
	}
	return s, nil
}

// settle waits until every etcd has written down its storage version, which it does some
// moments after it became healthy.
func (s *Session) settle() {
	for _, member := range s.Members {
		for deadline := time.Now().Add(startTimeout); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
			status, err := member.status(s.ctx)
			if err == nil && withoutPatch(status.StorageVersion) == withoutPatch(status.Version) {
				break
			}
		}
	}
}

// DialOptions make any gRPC client, also clientv3, record into this session.
func (s *Session) DialOptions(config *tls.Config) []grpc.DialOption {
	transport := insecure.NewCredentials()
	if config != nil {
		transport = credentials.NewTLS(config)
	}
	return []grpc.DialOption{
		grpc.WithTransportCredentials(transport),
		grpc.WithUnaryInterceptor(s.recorder.unary),
		grpc.WithStreamInterceptor(s.recorder.stream),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(math.MaxInt32), grpc.MaxCallSendMsgSize(math.MaxInt32)),
	}
}

func (s *Session) use(connection *grpc.ClientConn) {
	s.Connection = connection
	s.KV = pb.NewKVClient(connection)
	s.Watcher = pb.NewWatchClient(connection)
	s.Lease = pb.NewLeaseClient(connection)
	s.Cluster = pb.NewClusterClient(connection)
	s.Maintenance = pb.NewMaintenanceClient(connection)
	s.Auth = pb.NewAuthClient(connection)
	s.Lock = lockpb.NewLockClient(connection)
	s.Election = electionpb.NewElectionClient(connection)
	s.Health = healthpb.NewHealthClient(connection)
}

// Close ends the connection.
func (s *Session) Close() { s.Connection.Close() }

// Transcript is everything recorded so far.
func (s *Session) Transcript() string { return s.recorder.String() }

// Note writes a line of the script's own to the transcript.
func (s *Session) Note(format string, arguments ...any) {
	s.recorder.line("# %s", s.Names.Text(fmt.Sprintf(format, arguments...)))
}

// Record writes the answer of a call that was made under Quiet.
func (s *Session) Record(message proto.Message, err error) { s.recorder.answer(message, err) }

// Fail ends the script: the server did what no script can go on from.
func (s *Session) Fail(format string, arguments ...any) {
	panic(scriptStopped(fmt.Sprintf(format, arguments...)))
}

// Branch is a second session with the same server and a transcript of its own, for
// calls that happen at the same time; Join appends that transcript.
func (s *Session) Branch() *Session {
	branch, err := openNamedSession(s.ctx, s.Members, s.Server, s.Names)
	if err != nil {
		s.Fail("second connection: %v", err)
	}
	return branch
}

// Join appends the branch's transcript and closes it.
func (s *Session) Join(title string, branch *Session) {
	s.Note("branch %s", title)
	s.recorder.line("%s", branch.Transcript())
	branch.Close()
}

// Reopen connects anew, as after a restart of the server.
func (s *Session) Reopen() {
	s.Connection.Close()
	connection, err := grpc.NewClient("passthrough:///"+s.Server.Address(), s.DialOptions(s.Server.TLS())...)
	if err != nil {
		s.Fail("connection: %v", err)
	}
	s.use(connection)
}

// Restart kills the server, all of them if there are several, and starts it on the same
// directory. Another member may lead then, and another one be asked.
func (s *Session) Restart() {
	s.Members.Kill()
	if err := s.Members.Start(s.ctx); err != nil {
		s.Fail("restart: %v", err)
	}
	server, err := s.Members.choose(s.ctx, s.Names)
	if err != nil {
		s.Fail("restart: %v", err)
	}
	s.Server = server
	s.Reopen()
	s.Note("restarted")
}
