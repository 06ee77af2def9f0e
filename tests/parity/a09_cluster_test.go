package parity

import (
	"cmp"
	"context"
	"slices"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
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
		for _, member := range list.Members {
			if member.Name == s.Server.Name {
				_, _ = s.Cluster.MemberPromote(ctx, &pb.MemberPromoteRequest{ID: member.ID})
				_, _ = s.Cluster.MemberAdd(ctx, &pb.MemberAddRequest{PeerURLs: member.PeerURLs})
			}
		}
	}},
}
