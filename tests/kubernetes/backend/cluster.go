package backend

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

const (
	startAttempts = 5
	statusLimit   = 2 * time.Second
)

// Cluster is what is under test: one server, or as many as -members says.
type Cluster struct {
	Members []*Server

	options Options
}

// Start runs a cluster with empty data directories and returns once all of it is healthy.
// It is killed when the test ends.
func Start(t testing.TB, options Options) *Cluster {
	t.Helper()
	cluster := &Cluster{options: options}
	places := make([]*place, *membersFlag)
	if options.OwnNetwork && *membersFlag > 1 {
		places = newNetwork(t, *membersFlag).places
	}
	for number, place := range places {
		server, err := newServer(fmt.Sprintf("backend-%d", number+1), directory(t, options), options)
		if err != nil {
			t.Fatal(err)
		}
		server.place = place
		t.Cleanup(server.cleanUp)
		cluster.Members = append(cluster.Members, server)
	}
	var err error
	for range startAttempts {
		if err = cluster.startAnew(); !errors.Is(err, errAddressInUse) {
			break
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("backend: %s, %s", cluster.Members[0].binary, cluster.Endpoints())
	return cluster
}

func (c *Cluster) startAnew() error {
	var initial []string
	for _, server := range c.Members {
		server.cleanUp()
		if err := server.prepareAnew(); err != nil {
			return err
		}
		initial = append(initial, server.Name+"="+server.peer)
	}
	for _, server := range c.Members {
		server.initialCluster = strings.Join(initial, ",")
	}
	return c.Restart()
}

// Restart starts all processes (again) on the same data and the same addresses, and
// returns once all are healthy.
func (c *Cluster) Restart() error {
	for _, server := range c.Members {
		if err := server.launch(); err != nil {
			return err
		}
	}
	for _, server := range c.Members {
		if err := server.untilHealthy(); err != nil {
			return err
		}
	}
	return nil
}

// Endpoints are the URLs that clients dial, of all members.
func (c *Cluster) Endpoints() []string {
	var endpoints []string
	for _, server := range c.Members {
		endpoints = append(endpoints, server.Endpoint)
	}
	return endpoints
}

// Several says whether the cluster goes on without one of its members.
func (c *Cluster) Several() bool { return len(c.Members) > 1 }

// LogTail returns the last lines of every member's log.
func (c *Cluster) LogTail(lines int) string {
	var tails strings.Builder
	for _, server := range c.Members {
		if server.Process != nil {
			tails.WriteString(server.Process.LogTail(lines))
		}
	}
	return tails.String()
}

// Leader returns the member that leads and the others, once all of them agree. Members
// that are cut off are not asked, nor returned.
func (c *Cluster) Leader(ctx context.Context, cutOff ...*Server) (leader *Server, followers []*Server, err error) {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	for {
		if leader, followers, err = c.leaderNow(ctx, cutOff); err == nil {
			return leader, followers, nil
		}
		select {
		case <-ctx.Done():
			return nil, nil, fmt.Errorf("the members do not agree on a leader: %w", err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func (c *Cluster) leaderNow(ctx context.Context, cutOff []*Server) (leader *Server, followers []*Server, err error) {
	leaders := map[uint64]bool{}
	for _, server := range c.Members {
		if slices.Contains(cutOff, server) {
			continue
		}
		answer, err := server.status(ctx)
		if err != nil {
			return nil, nil, err
		}
		leaders[answer.Leader] = true
		if answer.Leader == answer.Header.MemberId {
			leader = server
		} else {
			followers = append(followers, server)
		}
	}
	if len(leaders) != 1 || leader == nil {
		return nil, nil, fmt.Errorf("leaders: %v", leaders)
	}
	return leader, followers, nil
}

func (s *Server) status(ctx context.Context) (*clientv3.StatusResponse, error) {
	return askAlone(ctx, s, func(ctx context.Context, client *clientv3.Client) (*clientv3.StatusResponse, error) {
		return client.Status(ctx, s.Endpoint)
	})
}

// Revision is what the member has reached by itself, whatever the others have.
func (s *Server) Revision(ctx context.Context) (int64, error) {
	answer, err := s.read(ctx)
	if err != nil {
		return 0, err
	}
	return answer.Header.Revision, nil
}

// LacksLeader is an error unless the member answers, and says that it has no leader.
func (s *Server) LacksLeader(ctx context.Context) error {
	_, err := s.read(clientv3.WithRequireLeader(ctx))
	if errors.Is(rpctypes.Error(err), rpctypes.ErrNoLeader) {
		return nil
	}
	return fmt.Errorf("%s has a leader, or does not answer: %v", s.Name, err)
}

// read reads what the member has by itself, and once: a client of etcd's own would go on trying.
func (s *Server) read(ctx context.Context) (*pb.RangeResponse, error) {
	request := &pb.RangeRequest{Key: []byte("/registry/none"), Serializable: true}
	return askAlone(ctx, s, func(ctx context.Context, client *clientv3.Client) (*pb.RangeResponse, error) {
		return pb.NewKVClient(client.ActiveConnection()).Range(ctx, request)
	})
}

// askAlone asks one member and no other, with a client that is made for this, and gives up soon.
func askAlone[T any](ctx context.Context, s *Server, ask func(context.Context, *clientv3.Client) (T, error)) (answer T, err error) {
	ctx, cancel := context.WithTimeout(ctx, statusLimit)
	defer cancel()
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{s.Endpoint}, TLS: s.options.ClientTLS, DialTimeout: statusLimit})
	if err != nil {
		return answer, err
	}
	defer client.Close()
	return ask(ctx, client)
}
