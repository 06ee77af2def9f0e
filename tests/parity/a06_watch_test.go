package parity

import (
	"context"
	"strings"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"
)

func TestWatch(t *testing.T) { runSection(t, watchScripts, watchDivergences...) }

var watchScripts = []Script{
	{Name: "A6.1_created_before_events", Run: func(_ context.Context, s *Session) {
		s.Put("a", "1")
		w := s.Watch()
		w.CreatePrefix("a", 2)
		w.Events(1)
		w.CreatePrefix("b", 0)
		w.CreatePrefix("", 1)
		w.Events(1)
		s.Put("b", "1")
		w.Events(2)
		other := s.Watch()
		other.CreatePrefix("a", 0)
	}},
	{Name: "A6.2_watch_ids", Run: func(_ context.Context, s *Session) {
		w := s.Watch()
		for _, id := range []int64{0, 0, 3, 0, 0, 3, -5, -5, 1, -1, 1 << 62} {
			w.Create(&pb.WatchCreateRequest{Key: []byte("a"), WatchId: id})
		}
		w.Cancel(1)
		w.Create(&pb.WatchCreateRequest{Key: []byte("a")})
		w.Create(&pb.WatchCreateRequest{Key: []byte("a"), WatchId: 1})
		s.Put("a", "1")
		w.Responses(9)
	}},
	{Name: "A6.3_keys_and_ranges", Run: func(_ context.Context, s *Session) {
		w := s.Watch()
		ranges := [][2]string{{"", ""}, {"", "\x00"}, {"b", ""}, {"b", "\x00"}, {"b", "d"}, {"d", "b"}, {"b", "b"}, {"\x00", "\x00"}, {"", "b"}}
		for _, r := range ranges {
			w.Create(&pb.WatchCreateRequest{Key: []byte(r[0]), RangeEnd: []byte(r[1])})
		}
		s.Do(put("a", "1"), put("b", "1"), put("c", "1"), put("d", "1"), put("\x00", "1"), put("\xff", "1"))
		w.Responses(7)
		s.Put("b", "2")
		w.Responses(5)
	}},
	{Name: "A6.4_start_revisions", Run: func(_ context.Context, s *Session) {
		s.Put("a", "1")
		s.Put("a", "2")
		s.Put("a", "3")
		for _, revision := range []int64{0, 1, 2, 3, 4} {
			w := s.Watch()
			w.CreatePrefix("a", revision)
			if revision > 0 {
				w.Events(int(5 - max(revision, 2)))
			}
			w.Nothing("sentinel")
		}
		w := s.Watch()
		w.CreatePrefix("a", -1)
		w.CreatePrefix("a", -1<<62)
		w.CreatePrefix("a", 0)
	}},
	{Name: "A6.4b_future_revision_waits", Run: func(_ context.Context, s *Session) {
		w := s.Watch()
		w.CreatePrefix("a", 4)
		w.CreatePrefix("a", 2)
		for range 4 {
			s.Put("a", "v")
		}
		w.Events(6)
		w.Nothing("sentinel")
	}},
	{Name: "A6.5_compacted", Run: func(_ context.Context, s *Session) {
		s.Fill("a", 6)
		s.Compact(5)
		w := s.Watch()
		canceled := func(r *pb.WatchResponse) bool { return r.Canceled }
		w.CreatePrefix("a", 4)
		w.Await("cancellation", canceled)
		w.CreatePrefix("a", 1)
		w.Await("cancellation", canceled)
		w.CreatePrefix("a", 5)
		w.Events(3)
		s.Put("a", "on")
		w.Events(1)
		s.Compact(8)
		s.Put("a", "and on")
		w.Events(1)
		w.Nothing("sentinel")
	}},
	{Name: "A6.5b_cancel_after_the_server_did", Run: func(_ context.Context, s *Session) {
		s.Fill("a", 3)
		s.Compact(3)
		w := s.Watch()
		w.SendCreate(&pb.WatchCreateRequest{Key: []byte("a"), StartRevision: 2})
		w.Responses(2)
		w.SendCancel(0)
		w.Nothing("sentinel")
	}},
	{Name: "A6.6_events", Run: func(_ context.Context, s *Session) {
		s.Grant(7, 1000)
		w := s.Watch()
		w.CreatePrefix("", 0)
		s.PutLeased("a", "1", 7)
		s.Put("a", "")
		s.Delete("a")
		s.Put("a", "2")
		s.DeleteRange(everythingDeleted())
		s.PutLeased("b", "1", 7)
		s.Revoke(7)
		w.Events(7)
	}},
	{Name: "A6.7_prev_kv", Run: func(_ context.Context, s *Session) {
		s.Put("old", "1")
		w := s.Watch()
		w.Create(&pb.WatchCreateRequest{Key: []byte{0}, RangeEnd: []byte{0}, PrevKv: true})
		s.Put("old", "2")
		s.Put("new", "1")
		s.Delete("old")
		s.Put("old", "3")
		s.Do(put("new", "2"), remove("old"))
		w.Events(6)
		w.Create(&pb.WatchCreateRequest{Key: []byte{0}, RangeEnd: []byte{0}, PrevKv: true, StartRevision: 2})
		w.Events(7)
		s.Compact(6)
		w.Create(&pb.WatchCreateRequest{Key: []byte{0}, RangeEnd: []byte{0}, PrevKv: true, StartRevision: 6})
		w.Events(3)
	}},
	{Name: "A6.7b_prev_kv_is_the_state_before_the_revision", Run: func(_ context.Context, s *Session) {
		s.Do(put("a", "1"), put("b", "1"))
		live := s.Watch()
		live.Create(&pb.WatchCreateRequest{Key: []byte{0}, RangeEnd: []byte{0}, PrevKv: true})
		s.Do(put("b", "2"), put("new", "1"), removeRange("b", "\x00"))
		s.Do(removeRange("a", "\x00"), put("a", "3"))
		live.Events(6)
		for range 2 {
			w := s.Watch()
			w.Create(&pb.WatchCreateRequest{Key: []byte{0}, RangeEnd: []byte{0}, PrevKv: true, StartRevision: 3})
			w.Events(6)
			s.Restart()
		}
	}},
	{Name: "A6.8_filters", Run: func(_ context.Context, s *Session) {
		w := s.Watch()
		filters := [][]pb.WatchCreateRequest_FilterType{{pb.WatchCreateRequest_NOPUT}, {pb.WatchCreateRequest_NODELETE},
			{pb.WatchCreateRequest_NOPUT, pb.WatchCreateRequest_NODELETE}, {9}, {}}
		for _, filter := range filters {
			w.Create(&pb.WatchCreateRequest{Key: []byte("a"), RangeEnd: []byte("c"), Filters: filter})
		}
		s.Put("a", "1")
		s.Put("b", "1")
		s.Do(put("a", "2"), remove("b"))
		s.Delete("a")
		w.Nothing("sentinel")
		history := s.Watch()
		for _, filter := range filters {
			history.Create(&pb.WatchCreateRequest{Key: []byte("a"), RangeEnd: []byte("c"), Filters: filter, StartRevision: 2})
			if len(filter) < 2 {
				history.Await("history", func(r *pb.WatchResponse) bool { return len(r.Events) > 0 })
			}
		}
		history.Nothing("sentinel")
	}},
	{Name: "A6.9_header_revisions", Run: func(_ context.Context, s *Session) {
		s.Put("a", "1")
		s.Put("other", "1")
		s.Put("other", "2")
		w := s.Watch()
		w.CreatePrefix("a", 1)
		w.Events(1)
		s.Put("a", "2")
		w.Events(1)
		s.Put("other", "3")
		s.Put("a", "3")
		w.Events(1)
	}},
	{Name: "A6.11_fragments", Run: func(ctx context.Context, s *Session) {
		value := []byte(strings.Repeat("v", 700<<10))
		for _, key := range []string{"a", "b", "c", "d", "e"} {
			if err := s.QuietPut(ctx, key, value); err != nil {
				s.Fail("put: %v", err)
			}
		}
		for _, fragment := range []bool{false, true} {
			w := s.Watch()
			w.Create(&pb.WatchCreateRequest{Key: []byte("a"), RangeEnd: []byte("z"), StartRevision: 2, Fragment: fragment})
			w.Flat(ctx, "history", "e")
			s.Put("e", "")
			w.Events(1)
			if err := s.QuietPut(ctx, "e", value); err != nil {
				s.Fail("put: %v", err)
			}
		}
	}},
	{Name: "A6.11b_one_revision_is_fragmented", Run: func(ctx context.Context, s *Session) {
		value := []byte(strings.Repeat("v", 1<<20))
		for _, key := range []string{"a", "b", "c", "d"} {
			if err := s.QuietPut(ctx, key, value); err != nil {
				s.Fail("put: %v", err)
			}
		}
		w := s.Watch()
		w.Create(&pb.WatchCreateRequest{Key: []byte("a"), RangeEnd: []byte("z"), PrevKv: true, Fragment: true})
		s.DeleteRange(&pb.DeleteRangeRequest{Key: []byte("a"), RangeEnd: []byte("z")})
		w.Events(4)
	}},
	{Name: "A6.12_cancel", Run: func(_ context.Context, s *Session) {
		w := s.Watch()
		w.CreatePrefix("a", 0)
		w.CreatePrefix("a", 0)
		s.Put("a", "1")
		w.Events(2)
		w.Cancel(0)
		s.Put("a", "2")
		w.Events(1)
		w.SendCancel(0)
		w.SendCancel(77)
		w.Nothing("sentinel")
		w.Cancel(1)
		s.Put("a", "3")
		w.Nothing("sentinel")
		w.CreatePrefix("a", 2)
		w.Events(3)
		w.Cancel(w.CreatePrefix("a", 100).WatchId)
	}},
	{Name: "A6.15_what_clientv3_makes_of_it", Run: clientWatches},
	{Name: "A6.16_has_leader_and_half_close", Run: func(ctx context.Context, s *Session) {
		w := s.WatchWith(metadata.AppendToOutgoingContext(ctx, "hasleader", "true"))
		w.CreatePrefix("a", 0)
		s.Put("a", "1")
		w.Events(1)
		if err := w.stream.CloseSend(); err != nil {
			s.Fail("half close: %v", err)
		}
		s.Put("a", "2")
		w.Events(1)
		w.Close()
		w.End()
	}},
	{Name: "A6.18_unknown_requests_are_ignored", Run: func(_ context.Context, s *Session) {
		w := s.Watch()
		w.Send(&pb.WatchRequest{})
		w.CreatePrefix("a", 0)
		w.Send(&pb.WatchRequest{RequestUnion: &pb.WatchRequest_CreateRequest{}})
		w.Responses(1)
		s.Put("a", "1")
		w.Key("a")
		w.Nothing("sentinel")
	}},
}

func everythingDeleted() *pb.DeleteRangeRequest {
	return &pb.DeleteRangeRequest{Key: []byte{0}, RangeEnd: []byte{0}}
}

var watchDivergences = []Divergence{{
	Name:     "A6.10_catch_up_is_cut_by_bytes",
	Reason:   "Taffrail cuts what it sends to a watcher that catches up at revision borders so that it fits into any client's message limit",
	Etcd:     "one response of more than 2 MiB",
	Taffrail: "every response below 2 MiB",
	Run: func(ctx context.Context, s *Session) string {
		value := []byte(strings.Repeat("v", 700<<10))
		for range 5 {
			if err := s.QuietPut(ctx, "a", value); err != nil {
				s.Fail("put: %v", err)
			}
		}
		w := s.Watch()
		w.Send(createFrom("a", 2))
		got, _ := w.Collect("history", func(r *pb.WatchResponse) bool {
			return len(r.Events) > 0 && r.Events[len(r.Events)-1].Kv.ModRevision == 6
		})
		for _, response := range got {
			if proto.Size(response) > 2<<20 {
				return "one response of more than 2 MiB"
			}
		}
		return "every response below 2 MiB"
	},
}}
