package parity

import (
	"context"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

func TestRevision(t *testing.T) { runSection(t, revisionScripts) }

var revisionScripts = []Script{
	{Name: "A0.1_fresh_store", Run: func(_ context.Context, s *Session) {
		s.All()
		s.GetAt("a", 1)
		s.GetAt("a", 2)
		s.Put("a", "1")
		s.All()
		s.GetAt("a", 1)
	}},
	{Name: "A0.2_one_revision_a_request", Run: func(ctx context.Context, s *Session) {
		s.Put("a", "1")
		s.Do(put("b", "1"), put("c", "1"), remove("a"))
		s.All()
		s.DeleteRange(&pb.DeleteRangeRequest{Key: []byte("a"), RangeEnd: []byte("z")})
		s.Grant(7, 1000)
		s.PutLeased("d", "1", 7)
		s.PutLeased("e", "1", 7)
		s.Revoke(7)
		s.All()
	}},
	{Name: "A0.3_no_change_no_revision", Run: func(ctx context.Context, s *Session) {
		s.Put("a", "1")
		s.Delete("missing")
		s.Do(get("a"))
		s.Do(remove("missing"))
		s.Do()
		s.Txn(compares(valueIs("a", "no")), ops(put("a", "2")), ops(get("a")))
		s.Grant(7, 1000)
		s.KeepAlive(7)
		s.Revoke(7)
		s.Compact(2)
		_, _ = s.Maintenance.Alarm(ctx, &pb.AlarmRequest{})
		_, _ = s.Auth.AuthStatus(ctx, &pb.AuthStatusRequest{})
		s.PutRequest(&pb.PutRequest{})
		s.All()
	}},
	{Name: "A0.4_put_version_and_create_revision", Run: func(_ context.Context, s *Session) {
		s.Put("a", "1")
		s.Put("a", "1")
		s.Put("b", "1")
		s.Get("a")
		s.Delete("a")
		s.Put("a", "1")
		s.Get("a")
		s.GetAt("a", 3)
	}},
	{Name: "A0.5_tombstone", Run: func(_ context.Context, s *Session) {
		s.Grant(7, 1000)
		s.PutLeased("a", "1", 7)
		s.Delete("a")
		s.Get("a")
		s.GetAt("a", 3)
		s.GetAt("a", 2)
		s.TimeToLive(7)
		s.Compact(3)
		s.GetAt("a", 2)
		s.GetAt("a", 3)
	}},
	{Name: "A0.6_order_within_a_revision", Run: func(_ context.Context, s *Session) {
		w := s.Watch()
		w.CreatePrefix("", 0)
		s.Put("m", "0")
		s.Do(put("z", "1"), remove("m"), put("a", "1"))
		w.Events(4)
		s.Do(put("x", "1"), remove("x"))
		s.Do(removeRange("k", "\x00"), put("y", "2"))
		w.Key("y")
		s.All()
	}},
	{Name: "A0.7_header_is_the_current_revision", Run: func(_ context.Context, s *Session) {
		for _, value := range []string{"1", "2", "3"} {
			s.Put("a", value)
		}
		s.GetAt("a", 2)
		s.Range(&pb.RangeRequest{Key: []byte("a"), Serializable: true, Revision: 3})
		s.Do(getOp(&pb.RangeRequest{Key: []byte("a"), Revision: 2}))
	}},
	{Name: "A0.8_write_header_is_its_own_revision", Run: func(_ context.Context, s *Session) {
		s.Put("a", "1")
		s.Put("b", "1")
		s.Delete("a")
		s.Delete("a")
		s.Do(put("c", "1"))
		s.Do(get("c"))
		s.Txn(compares(versionIs("c", 9)), ops(put("c", "2")), nil)
	}},
	{Name: "A0.9_headers_inside_txn", Run: func(_ context.Context, s *Session) {
		s.Put("a", "1")
		s.Do(get("a"), put("b", "1"), get("b"), remove("a"), remove("missing"),
			nested(nil, ops(put("c", "1"), get("c"), nested(nil, ops(get("a")), nil)), nil))
		s.Do(get("b"), nested(nil, nil, nil))
	}},
	{Name: "A0.10_headers_without_revision", Run: func(ctx context.Context, s *Session) {
		s.Put("a", "1")
		s.Put("a", "2")
		_, _ = s.Cluster.MemberList(ctx, &pb.MemberListRequest{})
		_, _ = s.Maintenance.Defragment(ctx, &pb.DefragmentRequest{})
		s.Compact(3)
		w := s.Watch()
		w.Create(&pb.WatchCreateRequest{Key: []byte("a"), StartRevision: 2})
		w.Await("canceled", func(r *pb.WatchResponse) bool { return r.Canceled })
	}},
	{Name: "A0.11_ids_survive_restart", Run: func(ctx context.Context, s *Session) {
		s.Put("a", "1")
		s.Restart()
		s.Get("a")
		_, _ = s.Cluster.MemberList(ctx, &pb.MemberListRequest{})
	}},
	{Name: "A0.12_revision_never_goes_back", Run: func(ctx context.Context, s *Session) {
		s.Fill("k", 20)
		s.Delete("k001")
		s.Restart()
		s.All()
		s.Compact(10)
		_, _ = s.Maintenance.Defragment(ctx, &pb.DefragmentRequest{})
		s.Restart()
		s.Get("k000")
		s.GetAt("k000", 9)
		s.GetAt("k000", 10)
		s.DeleteRange(&pb.DeleteRangeRequest{Key: []byte{0}, RangeEnd: []byte{0}})
		s.Compact(23)
		s.Restart()
		s.All()
		s.Put("a", "1")
	}},
}
