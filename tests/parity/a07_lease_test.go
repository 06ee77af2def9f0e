package parity

import (
	"context"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

func TestLease(t *testing.T) { runSection(t, leaseScripts, leaseDivergences...) }

var leaseScripts = []Script{
	{Name: "A7.1_grant", Run: func(ctx context.Context, s *Session) {
		for _, ttl := range []int64{1000, 2, 1, 0, -1, -1 << 62, 9_000_000_000, 9_000_000_001, 1 << 62} {
			s.Grant(0, ttl)
		}
		chosen, err := s.Lease.LeaseGrant(Quiet(ctx), &pb.LeaseGrantRequest{TTL: 100})
		s.Note("a chosen id is positive: %v", err == nil && chosen.ID > 0)
		for _, id := range []int64{7, 7, -7, -7, 1 << 62, 1<<63 - 1, -1 << 63} {
			s.Grant(id, 1000)
		}
		s.Grant(7, 1<<62)
	}},
	{Name: "A7.2_no_revision_used", Run: func(_ context.Context, s *Session) {
		s.Put("a", "1")
		s.Grant(7, 1000)
		s.KeepAlive(7)
		s.TimeToLive(7)
		s.Revoke(7)
		s.Get("a")
	}},
	{Name: "A7.3_revoke_deletes_keys", Run: func(_ context.Context, s *Session) {
		w := s.Watch()
		w.Create(&pb.WatchCreateRequest{Key: []byte("k"), RangeEnd: []byte("l"), PrevKv: true})
		s.Grant(7, 1000)
		s.Grant(8, 1000)
		for _, key := range []string{"kc", "ka", "kd", "kb"} {
			s.PutLeased(key, "1", 7)
		}
		s.PutLeased("kz", "1", 8)
		s.Revoke(7)
		w.Events(9)
		s.All()
		s.Revoke(7)
		s.Revoke(99)
		s.Revoke(0)
	}},
	{Name: "A7.3b_expiry_deletes_keys", Run: func(_ context.Context, s *Session) {
		w := s.Watch()
		w.CreatePrefix("k", 0)
		s.Grant(7, 2)
		granted := time.Now()
		s.PutLeased("kb", "1", 7)
		s.PutLeased("ka", "1", 7)
		w.Events(4)
		s.Note("not before its time: %v", time.Since(granted) >= 2*time.Second-50*time.Millisecond)
		s.All()
		s.TimeToLive(7)
		s.KeepAlive(7)
		s.Revoke(7)
		s.PutLeased("kb", "1", 7)
	}},
	{Name: "A7.4_keep_alive", Run: func(_ context.Context, s *Session) {
		s.Put("a", "1")
		s.Grant(7, 1000)
		s.Grant(8, 0)
		s.KeepAlive(7, 99, 8, 7, 0, -1)
		s.Revoke(7)
		s.KeepAlive(7)
	}},
	{Name: "A7.4b_keep_alive_prolongs", Run: func(_ context.Context, s *Session) {
		s.Grant(7, 3)
		s.PutLeased("a", "1", 7)
		for range 4 {
			time.Sleep(time.Second)
			s.KeepAlive(7)
		}
		s.Get("a")
	}},
	{Name: "A7.5_time_to_live", Run: func(ctx context.Context, s *Session) {
		s.Grant(7, 1000)
		s.TimeToLive(7)
		s.PutLeased("b", "1", 7)
		s.PutLeased("a", "1", 7)
		s.TimeToLive(7)
		_, _ = s.Lease.LeaseTimeToLive(ctx, &pb.LeaseTimeToLiveRequest{ID: 7})
		s.TimeToLive(99)
		s.TimeToLive(0)
		left := s.TimeToLive(7)
		s.Note("whole seconds left: %v", left != nil && left.TTL >= 990 && left.TTL <= 1000)
	}},
	{Name: "A7.6_leases_by_expiry", Run: func(ctx context.Context, s *Session) {
		_, _ = s.Lease.LeaseLeases(ctx, &pb.LeaseLeasesRequest{})
		for i, ttl := range []int64{500, 100, 900, 300, 700} {
			s.Grant(int64(i+1), ttl)
		}
		_, _ = s.Lease.LeaseLeases(ctx, &pb.LeaseLeasesRequest{})
		s.Revoke(4)
		_, _ = s.Lease.LeaseLeases(ctx, &pb.LeaseLeasesRequest{})
	}},
	{Name: "A7.7_one_lease_a_key", Run: func(_ context.Context, s *Session) {
		s.Grant(7, 1000)
		s.Grant(8, 1000)
		s.PutLeased("a", "1", 7)
		s.PutLeased("b", "1", 7)
		s.Do(putOp(&pb.PutRequest{Key: []byte("a"), Lease: 8}), putOp(&pb.PutRequest{Key: []byte("c"), Lease: 7}))
		s.TimeToLive(7)
		s.TimeToLive(8)
		s.Delete("b")
		s.TimeToLive(7)
		s.DeleteRange(everythingDeleted())
		s.TimeToLive(7)
		s.Revoke(7)
		s.Revoke(8)
	}},
	{Name: "A7.8_leases_survive_restart", Run: func(ctx context.Context, s *Session) {
		s.Grant(7, 1000)
		s.Grant(8, 500)
		s.PutLeased("a", "1", 7)
		s.PutLeased("b", "1", 7)
		s.Put("b", "2")
		s.Restart()
		_, _ = s.Lease.LeaseLeases(ctx, &pb.LeaseLeasesRequest{})
		s.TimeToLive(7)
		s.TimeToLive(8)
		s.Revoke(7)
		s.All()
	}},
	{Name: "A7.9_http_aliases", Run: func(_ context.Context, s *Session) {
		s.HTTP("POST", "/v3/kv/lease/leases", "{}")
		s.Grant(7, 1000)
		s.HTTP("POST", "/v3/kv/lease/leases", "{}")
		s.HTTP("POST", "/v3/kv/lease/timetolive", `{"ID":"99","keys":true}`)
		s.HTTP("POST", "/v3/kv/lease/revoke", `{"ID":"7"}`)
		s.HTTP("POST", "/v3/kv/lease/revoke", `{"ID":"7"}`)
	}},
}

var leaseDivergences = []Divergence{{
	Name:     "A7.8_time_after_restarts",
	Reason:   "a lease does not start over with each restart of the server; it may get longer by its slack, once, and gets a few seconds to be renewed",
	Etcd:     "lives as long as the server is restarted",
	Taffrail: "ends",
	Run: func(ctx context.Context, s *Session) string {
		s.Grant(7, 12)
		s.PutLeased("a", "1", 7)
		for range 3 {
			time.Sleep(8 * time.Second)
			s.Restart()
		}
		time.Sleep(7 * time.Second)
		kept, err := s.KV.Range(ctx, &pb.RangeRequest{Key: []byte("a")})
		switch {
		case err != nil:
			return err.Error()
		case kept.Count == 0:
			return "ends"
		}
		return "lives as long as the server is restarted"
	},
}}
