package parity

import (
	"cmp"
	"context"
	"slices"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

func TestCluster(t *testing.T) { runSection(t, clusterScripts) }

var clusterScripts = []Script{
	{Name: "A9.1_member_list", Run: func(ctx context.Context, s *Session) {
		_, _ = s.Cluster.MemberList(ctx, &pb.MemberListRequest{})
		_, _ = s.Cluster.MemberList(ctx, &pb.MemberListRequest{Linearizable: true})
	}},
	{Name: "A9.2_member_changes_refused", Run: func(ctx context.Context, s *Session) {
		for _, urls := range [][]string{nil, {""}, {"nonsense"}, {"http://127.0.0.1"}, {"ftp://127.0.0.1:1"}, {"http://127.0.0.1:1/path"}} {
			_, _ = s.Cluster.MemberAdd(ctx, &pb.MemberAddRequest{PeerURLs: urls})
		}
		_, _ = s.Cluster.MemberRemove(ctx, &pb.MemberRemoveRequest{ID: 12345})
		_, _ = s.Cluster.MemberUpdate(ctx, &pb.MemberUpdateRequest{ID: 12345, PeerURLs: []string{"http://127.0.0.1:1"}})
		_, _ = s.Cluster.MemberUpdate(ctx, &pb.MemberUpdateRequest{ID: 12345})
		_, _ = s.Cluster.MemberPromote(ctx, &pb.MemberPromoteRequest{ID: 12345})
		list, err := s.Cluster.MemberList(ctx, &pb.MemberListRequest{})
		if err != nil {
			s.Fail("members: %v", err)
		}
		s.Note("in the order of their ids: %v", slices.IsSortedFunc(list.Members, func(a, b *pb.Member) int { return cmp.Compare(a.ID, b.ID) }))
		s.awaitConnected(ctx, list.Members[0].PeerURLs)
		for _, member := range list.Members {
			if member.Name == s.Server.Name {
				_, _ = s.Cluster.MemberPromote(ctx, &pb.MemberPromoteRequest{ID: member.ID})
				_, _ = s.Cluster.MemberAdd(ctx, &pb.MemberAddRequest{PeerURLs: member.PeerURLs})
			}
		}
	}},
}

// awaitConnected waits until the members have been connected for the five seconds without
// which etcd adds none: until it finds that these URLs are taken.
func (s *Session) awaitConnected(ctx context.Context, taken []string) {
	for deadline := time.Now().Add(2 * callTimeout); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		_, err := s.Cluster.MemberAdd(Quiet(ctx), &pb.MemberAddRequest{PeerURLs: taken})
		if status.Code(err) == codes.FailedPrecondition {
			return
		}
	}
	s.Fail("no member would be added")
}
