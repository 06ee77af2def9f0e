package parity

import (
	"context"
	"fmt"
	"strings"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

func TestRange(t *testing.T) { runSection(t, rangeScripts) }

// everything is the range request for the whole store.
func everything() *pb.RangeRequest { return &pb.RangeRequest{Key: []byte{0}, RangeEnd: []byte{0}} }

var rangeScripts = []Script{
	{Name: "A1.1_empty_key", Run: func(_ context.Context, s *Session) {
		s.Range(&pb.RangeRequest{})
		s.Range(&pb.RangeRequest{RangeEnd: []byte("z")})
		s.Range(&pb.RangeRequest{RangeEnd: []byte{0}, CountOnly: true})
	}},
	{Name: "A1.2_range_end", Run: func(_ context.Context, s *Session) {
		for _, key := range []string{"a", "aa", "b", "a\x00", "\x00", "\xff", "c"} {
			s.Put(key, "v")
		}
		ends := [][2]string{{"a", ""}, {"a", "\x00"}, {"\x00", "\x00"}, {"a", "a"}, {"b", "a"}, {"a", "b"},
			{"a", "c"}, {"\x00", "\x01"}, {"\x00", "\x00\x00"}, {"aa", "\xff"}, {"zz", "\x00"}, {"a", "\x00\x00"}}
		for _, end := range ends {
			s.Range(&pb.RangeRequest{Key: []byte(end[0]), RangeEnd: []byte(end[1])})
		}
	}},
	{Name: "A1.3_limit_more_count", Run: func(_ context.Context, s *Session) {
		s.Fill("k", 5)
		for _, limit := range []int64{0, -1, 1, 4, 5, 6, 1 << 62} {
			s.Range(&pb.RangeRequest{Key: []byte("k"), RangeEnd: []byte("l"), Limit: limit})
		}
		s.Range(&pb.RangeRequest{Key: []byte("k001"), Limit: 1})
		s.Range(&pb.RangeRequest{Key: []byte("k"), RangeEnd: []byte("l"), Limit: 2, MinModRevision: 4})
		s.Range(&pb.RangeRequest{Key: []byte("k"), RangeEnd: []byte("l"), Limit: 2, Revision: 4})
	}},
	{Name: "A1.4_count_only", Run: func(_ context.Context, s *Session) {
		s.Fill("k", 5)
		s.Range(&pb.RangeRequest{Key: []byte("k"), RangeEnd: []byte("l"), CountOnly: true})
		s.Range(&pb.RangeRequest{Key: []byte("k"), RangeEnd: []byte("l"), CountOnly: true, Limit: 2})
		s.Range(&pb.RangeRequest{Key: []byte("k"), RangeEnd: []byte("l"), CountOnly: true, Revision: 3})
		s.Range(&pb.RangeRequest{Key: []byte("k"), RangeEnd: []byte("l"), CountOnly: true, MinModRevision: 4})
		s.Range(&pb.RangeRequest{Key: []byte("k"), RangeEnd: []byte("l"), CountOnly: true, KeysOnly: true})
		s.Range(&pb.RangeRequest{Key: []byte("k"), RangeEnd: []byte("l"), CountOnly: true, SortOrder: pb.RangeRequest_DESCEND})
		s.Range(&pb.RangeRequest{Key: []byte("missing"), CountOnly: true})
	}},
	{Name: "A1.5_keys_only", Run: func(_ context.Context, s *Session) {
		s.Grant(7, 1000)
		s.PutLeased("b", "1", 7)
		s.PutLeased("a", "2", 7)
		s.Put("c", "")
		s.Range(&pb.RangeRequest{Key: []byte("a"), KeysOnly: true})
		s.Range(&pb.RangeRequest{Key: []byte("a"), RangeEnd: []byte{0}, KeysOnly: true})
		s.Range(&pb.RangeRequest{Key: []byte("a"), RangeEnd: []byte{0}, KeysOnly: true, Limit: 2})
		s.Range(&pb.RangeRequest{Key: []byte("a"), RangeEnd: []byte{0}, KeysOnly: true, Revision: 3})
		for target := range pb.RangeRequest_SortTarget_name {
			if target > 4 {
				s.Fail("a new sort target")
			}
		}
		for target := range int32(5) {
			s.Range(&pb.RangeRequest{Key: []byte("a"), RangeEnd: []byte{0}, KeysOnly: true,
				SortTarget: pb.RangeRequest_SortTarget(target), SortOrder: pb.RangeRequest_ASCEND})
		}
		s.Do(getOp(&pb.RangeRequest{Key: []byte("a"), RangeEnd: []byte{0}, KeysOnly: true}))
	}},
	{Name: "A1.6_revision", Run: func(_ context.Context, s *Session) {
		for i := range 6 {
			s.Put("a", fmt.Sprint(i))
		}
		s.Compact(4)
		for _, revision := range []int64{-1 << 62, -1, 0, 1, 3, 4, 5, 7, 8, 1 << 62} {
			s.GetAt("a", revision)
		}
		s.Range(&pb.RangeRequest{Key: []byte("a"), Revision: 3, CountOnly: true})
		s.Range(&pb.RangeRequest{Key: []byte("a"), Revision: 8, Serializable: true})
	}},
	{Name: "A1.7_revision_filters", Run: func(_ context.Context, s *Session) {
		s.Fill("k", 6)
		s.Put("k001", "again")
		s.Put("k004", "again")
		filters := []*pb.RangeRequest{
			{MinModRevision: 5}, {MaxModRevision: 5}, {MinCreateRevision: 4}, {MaxCreateRevision: 4},
			{MinModRevision: 4, MaxModRevision: 6}, {MinModRevision: 7, MaxCreateRevision: 3}, {MinModRevision: 100},
			{MinModRevision: 4, Limit: 2}, {MaxModRevision: 6, Limit: 1, SortOrder: pb.RangeRequest_DESCEND},
			{MinModRevision: -5}, {MaxModRevision: -5}, {MinCreateRevision: 6, Limit: 2}, {MaxCreateRevision: 3, Limit: 2},
			{MinModRevision: 4, Limit: 5}, {MinModRevision: 4, KeysOnly: true}, {MinModRevision: 4, Revision: 6},
		}
		for _, request := range filters {
			request.Key, request.RangeEnd = []byte("k"), []byte("l")
			s.Range(request)
		}
	}},
	{Name: "A1.8_sort", Run: func(_ context.Context, s *Session) {
		fillForSort(s)
		for target := range int32(5) {
			for order := range int32(3) {
				for _, limit := range []int64{0, 2} {
					request := everything()
					request.SortTarget = pb.RangeRequest_SortTarget(target)
					request.SortOrder = pb.RangeRequest_SortOrder(order)
					request.Limit = limit
					s.Range(request)
				}
			}
		}
	}},
	{Name: "A1.8b_sort_ties_keep_key_order", Run: func(_ context.Context, s *Session) {
		s.Do(put("a", "x"), put("b", "x"), put("c", "x"), put("d", "x"))
		for target := range int32(5) {
			request := everything()
			request.SortTarget, request.SortOrder = pb.RangeRequest_SortTarget(target), pb.RangeRequest_ASCEND
			s.Range(request)
		}
	}},
	{Name: "A1.9_bad_sort", Run: func(_ context.Context, s *Session) {
		s.Put("a", "1")
		s.Range(&pb.RangeRequest{Key: []byte("a"), SortOrder: 3})
		s.Range(&pb.RangeRequest{Key: []byte("a"), SortTarget: 5})
		s.Range(&pb.RangeRequest{Key: []byte("a"), SortOrder: -1})
		s.Range(&pb.RangeRequest{Key: []byte("a"), SortTarget: -1})
		s.Range(&pb.RangeRequest{SortTarget: -1})
		s.Do(getOp(&pb.RangeRequest{Key: []byte("a"), SortOrder: 3}))
	}},
	{Name: "A1.10_serializable_and_linearizable", Run: func(_ context.Context, s *Session) {
		s.Put("a", "1")
		s.Range(&pb.RangeRequest{Key: []byte("a"), Serializable: true})
		s.Range(&pb.RangeRequest{Key: []byte("a")})
		s.Put("a", "2")
		s.Range(&pb.RangeRequest{Key: []byte("a")})
		s.Range(&pb.RangeRequest{Key: []byte("a"), Serializable: true, Revision: 2})
	}},
	{Name: "A1.11_pages_of_one_snapshot", Run: func(_ context.Context, s *Session) {
		s.Fill("k", 10)
		page := &pb.RangeRequest{Key: []byte("k"), RangeEnd: []byte("l"), Limit: 4}
		for range 3 {
			response := s.Range(page)
			if response == nil || len(response.Kvs) == 0 {
				s.Fail("no page")
			}
			s.Delete("k007")
			s.Put("k005", "changed")
			s.Put("k0055", "new")
			last := response.Kvs[len(response.Kvs)-1].Key
			page.Key, page.Revision = append(last, 0), 11
		}
	}},
	{Name: "A1.12_arbitrary_bytes", Run: func(_ context.Context, s *Session) {
		s.Put("empty", "")
		s.Put("\x00\x00", "\x00")
		s.Put("\xff\xfe", "\xff\x00\xfe")
		s.Put("invalid \xc3\x28 utf8", "\xe2\x82")
		s.Put(strings.Repeat("k", 64<<10), "long key")
		s.All()
		s.Range(&pb.RangeRequest{Key: []byte("\xff"), RangeEnd: []byte{0}})
	}},
	{Name: "A1.13_large_response", Run: func(ctx context.Context, s *Session) {
		value := []byte(strings.Repeat("v", 1<<20))
		for i := range 6 {
			if err := s.QuietPut(ctx, fmt.Sprint("k", i), value); err != nil {
				s.Fail("put: %v", err)
			}
		}
		s.All()
	}},
}

// fillForSort makes keys whose orders by key, version, creation, change and value differ.
func fillForSort(s *Session) {
	for _, kv := range []string{"d=5", "a=3", "c=1", "b=4", "e=2", "c=1", "c=6", "a=9", "d=5"} {
		s.Put(kv[:1], kv[2:])
	}
}
