package parity

import (
	"context"
	"fmt"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

func TestCompact(t *testing.T) { runSection(t, compactScripts) }

var compactScripts = []Script{
	{Name: "A5.1_which_revisions", Run: func(_ context.Context, s *Session) {
		for _, revision := range []int64{-1, 2, 0, 0, 1, 1} {
			s.Compact(revision)
		}
		for i := range 5 {
			s.Put("a", fmt.Sprint(i))
		}
		for _, revision := range []int64{7, 3, 3, 2, 0, -5, 6, 6, 7} {
			s.Compact(revision)
		}
		s.Get("a")
	}},
	{Name: "A5.2_header_and_physical", Run: func(ctx context.Context, s *Session) {
		s.Fill("k", 10)
		_, _ = s.KV.Compact(ctx, &pb.CompactionRequest{Revision: 4})
		_, _ = s.KV.Compact(ctx, &pb.CompactionRequest{Revision: 8, Physical: true})
		s.All()
	}},
	{Name: "A5.3_what_remains", Run: func(_ context.Context, s *Session) {
		s.Put("a", "1")
		s.Put("a", "2")
		s.Put("b", "1")
		s.Put("c", "1")
		s.Delete("c")
		s.Put("a", "3")
		s.Delete("b")
		s.Compact(6)
		for revision := int64(4); revision <= 8; revision++ {
			request := everything()
			request.Revision = revision
			s.Range(request)
		}
		w := s.Watch()
		for _, revision := range []int64{6, 5, 2} {
			w.SendCreate(&pb.WatchCreateRequest{Key: []byte{0}, RangeEnd: []byte{0}, StartRevision: revision})
		}
		w.Responses(6)
	}},
	{Name: "A5.3b_watch_at_the_compacted_revision_sees_the_delete", Run: func(_ context.Context, s *Session) {
		s.Put("a", "1")
		s.Delete("a")
		s.Put("b", "1")
		s.Delete("b")
		s.Compact(5)
		w := s.Watch()
		w.CreatePrefix("", 5)
		w.Events(1)
		s.Put("c", "1")
		w.Key("c")
		s.GetAt("b", 5)
	}},
	{Name: "A5.3c_watch_from_the_compacted_revision_on_a_put", Run: func(_ context.Context, s *Session) {
		s.Put("a", "1")
		s.Put("a", "2")
		s.Put("b", "1")
		s.Compact(3)
		w := s.Watch()
		w.Create(&pb.WatchCreateRequest{Key: []byte("a"), RangeEnd: []byte("z"), StartRevision: 3, PrevKv: true})
		w.Events(2)
	}},
	{Name: "A5.4_auto_compaction", Options: Options{Flags: []string{"--auto-compaction-mode", "periodic", "--auto-compaction-retention", "1s"}},
		Run: func(ctx context.Context, s *Session) {
			s.Put("a", "1")
			s.Put("a", "2")
			s.awaitCompacted(ctx, 2)
			s.GetAt("a", 2)
			s.Get("a")
		}},
	{Name: "A5.4b_compaction_survives_restart", Run: func(ctx context.Context, s *Session) {
		s.Fill("k", 30)
		s.Fill("k", 30)
		_, _ = s.KV.Compact(ctx, &pb.CompactionRequest{Revision: 50})
		s.Restart()
		s.GetAt("k000", 49)
		s.GetAt("k000", 50)
		s.All()
		s.Compact(50)
		s.Compact(51)
	}},
}

// awaitCompacted waits until reads at the revision are refused.
func (s *Session) awaitCompacted(ctx context.Context, revision int64) {
	deadline := time.Now().Add(30 * time.Second)
	for time.Now().Before(deadline) {
		_, err := s.KV.Range(Quiet(ctx), &pb.RangeRequest{Key: []byte("a"), Revision: revision})
		if status.Code(err) == codes.OutOfRange {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	s.Fail("revision %d is not compacted", revision)
}
