package parity

import (
	"context"
	"fmt"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

func TestTxn(t *testing.T) { runSection(t, txnScripts, txnDivergences...) }

var yes, no = ops(get("yes")), ops(get("no"))

// check sends a transaction that only answers whether the compares hold.
func (s *Session) check(list ...*pb.Compare) { s.Txn(list, yes, no) }

var txnScripts = []Script{
	{Name: "A4.1_compares_are_anded", Run: func(_ context.Context, s *Session) {
		s.Put("a", "1")
		s.check()
		s.check(valueIs("a", "1"))
		s.check(valueIs("a", "1"), versionIs("a", 1), modIs("a", 2))
		s.check(valueIs("a", "1"), versionIs("a", 2))
		s.check(valueIs("a", "2"), versionIs("a", 1))
	}},
	{Name: "A4.2_every_target_and_result", Run: func(_ context.Context, s *Session) {
		s.Grant(7, 1000)
		s.PutLeased("a", "m", 7)
		s.PutLeased("a", "m", 7)
		for _, key := range []string{"a", "missing"} {
			for result := range int32(4) {
				for _, compare := range comparesAround() {
					compare.Key, compare.Result = []byte(key), pb.Compare_CompareResult(result)
					s.check(compare)
				}
			}
		}
	}},
	{Name: "A4.3_compare_ranges", Run: func(_ context.Context, s *Session) {
		s.Do(put("a", "1"), put("b", "1"), put("c", "2"))
		s.Put("b", "1")
		for _, end := range []string{"b", "c", "d", "a", "\x00"} {
			value, version := valueIs("a", "1"), versionIs("a", 1)
			value.RangeEnd, version.RangeEnd = []byte(end), []byte(end)
			s.check(value)
			s.check(version)
		}
		for _, compare := range []*pb.Compare{versionIs("x", 0), versionIs("x", 1), valueIs("x", "")} {
			compare.RangeEnd = []byte("z")
			s.check(compare)
			compare.Result = pb.Compare_NOT_EQUAL
			s.check(compare)
		}
		from := modIs("\x00", 0)
		from.RangeEnd, from.Result = []byte{0}, pb.Compare_GREATER
		s.check(from)
	}},
	{Name: "A4.4_odd_compares", Run: func(_ context.Context, s *Session) {
		s.Put("a", "1")
		s.Put("a", "1")
		key := []byte("a")
		s.check(&pb.Compare{Key: key, Target: pb.Compare_VERSION, TargetUnion: &pb.Compare_Value{Value: []byte("1")}})
		s.check(&pb.Compare{Key: key, Target: pb.Compare_VALUE, TargetUnion: &pb.Compare_Version{Version: 2}})
		s.check(&pb.Compare{Key: key, Target: pb.Compare_MOD, Result: pb.Compare_GREATER})
		s.check(&pb.Compare{Key: key, Target: pb.Compare_VALUE, Result: pb.Compare_GREATER})
		s.check(&pb.Compare{Key: key, Target: pb.Compare_LEASE})
		s.check(&pb.Compare{Key: key, Target: pb.Compare_VERSION, Result: 9, TargetUnion: &pb.Compare_Version{Version: 77}})
		s.check(&pb.Compare{Key: key, Target: pb.Compare_VERSION, Result: -1})
		for result := range int32(4) {
			s.check(&pb.Compare{Key: key, Target: 9, Result: pb.Compare_CompareResult(result)})
			s.check(&pb.Compare{Key: []byte("missing"), Target: 9, Result: pb.Compare_CompareResult(result)})
		}
		s.check(&pb.Compare{Target: pb.Compare_VERSION})
		s.check(&pb.Compare{RangeEnd: []byte("z")})
	}},
	{Name: "A4.5_ops_in_order_see_earlier_writes", Run: func(_ context.Context, s *Session) {
		s.Put("a", "1")
		s.Do(get("a"), put("b", "1"), getRange("a", "z"), remove("a"), getRange("a", "z"),
			putOp(&pb.PutRequest{Key: []byte("c"), Value: []byte("1"), PrevKv: true}), getRange("a", "z"))
		s.Do(putOp(&pb.PutRequest{Key: []byte("b"), Value: []byte("2"), PrevKv: true}),
			removeOp(&pb.DeleteRangeRequest{Key: []byte("c"), PrevKv: true}), remove("c"))
		s.Do(put("d", "1"), nested(nil, ops(getRange("a", "z"), put("e", "1")), nil), getRange("a", "z"))
		s.Do(put("f", "1"), getOp(&pb.RangeRequest{Key: []byte("f"), CountOnly: true}), getOp(&pb.RangeRequest{Key: []byte("a"), Revision: 2}))
		s.Do(put("g", "1"), getOp(&pb.RangeRequest{Key: []byte("g"), Revision: 6}))
		s.Txn(compares(valueIs("a", "nope")), ops(put("x", "1")), ops(put("y", "1"), get("y")))
	}},
	{Name: "A4.6_compares_see_the_state_before", Run: func(_ context.Context, s *Session) {
		s.Put("a", "1")
		s.Do(put("a", "2"), nested(compares(valueIs("a", "1")), ops(put("seen", "before")), ops(put("seen", "after"))))
		s.Get("seen")
		s.Do(remove("a"), nested(compares(versionIs("a", 0)), ops(get("yes")), ops(get("no"))))
	}},
	{Name: "A4.7_checked_before_any_write", Run: func(_ context.Context, s *Session) {
		s.Put("a", "1")
		s.Put("a", "2")
		s.Compact(3)
		bad := []*pb.RequestOp{
			putOp(&pb.PutRequest{Key: []byte("l"), Lease: 99}),
			putOp(&pb.PutRequest{Key: []byte("missing"), IgnoreValue: true}),
			putOp(&pb.PutRequest{Key: []byte("missing"), IgnoreLease: true}),
			getOp(&pb.RangeRequest{Key: []byte("a"), Revision: 99}),
			getOp(&pb.RangeRequest{Key: []byte("a"), Revision: 2}),
			getOp(&pb.RangeRequest{Key: []byte("a"), Revision: 4}),
			nested(nil, ops(putOp(&pb.PutRequest{Key: []byte("l"), Lease: 99})), nil),
			nested(nil, ops(getOp(&pb.RangeRequest{Key: []byte("a"), Revision: 99})), nil),
		}
		for _, op := range bad {
			s.Do(put("w", "1"), op)
			s.Do(op, put("w", "1"))
			s.Txn(nil, ops(put("x", "1")), ops(op))
			s.Do(op)
			s.All()
		}
		s.Do(put("n", "1"), putOp(&pb.PutRequest{Key: []byte("n2"), IgnoreLease: true}))
		s.Do(nested(compares(versionIs("a", 99)), ops(putOp(&pb.PutRequest{Key: []byte("l"), Lease: 99})), ops(put("ok", "1"))))
		s.All()
	}},
	{Name: "A4.8_operations_limit", Run: operationsLimit},
	{Name: "A4.8b_operations_limit_flag", Options: Options{Flags: []string{"--max-txn-ops", "5"}}, Run: func(_ context.Context, s *Session) {
		s.Do(puts("a", 5)...)
		s.Do(puts("a", 6)...)
		s.Txn(nil, puts("a", 5), puts("b", 5))
		s.Txn(nil, nil, puts("a", 6))
	}},
	{Name: "A4.9_operation_validity", Run: func(_ context.Context, s *Session) {
		for _, op := range []*pb.RequestOp{
			{}, putOp(&pb.PutRequest{}), removeOp(&pb.DeleteRangeRequest{}), getOp(&pb.RangeRequest{}),
			putOp(&pb.PutRequest{Key: []byte("a"), Value: []byte("v"), IgnoreValue: true}),
			putOp(&pb.PutRequest{Key: []byte("a"), Lease: 1, IgnoreLease: true}),
			getOp(&pb.RangeRequest{Key: []byte("a"), SortOrder: 9}),
			nested(nil, ops(putOp(&pb.PutRequest{})), nil),
			nested(nil, nil, ops(&pb.RequestOp{})),
			nested(compares(&pb.Compare{}), nil, nil),
		} {
			s.Do(op)
			s.Txn(nil, nil, ops(op))
		}
		s.All()
	}},
	{Name: "A4.10_duplicate_keys", Run: duplicateKeys},
	{Name: "A4.11_delete_from_key_quirk", Run: func(_ context.Context, s *Session) {
		s.Do(put("a", "1"), put("b", "1"), put("c", "1"))
		w := s.Watch()
		w.CreatePrefix("", 0)
		s.Do(removeRange("b", "\x00"), put("c", "2"))
		w.Events(3)
		s.All()
		s.Do(put("d", "1"), removeRange("a", "\x00"))
		s.All()
		s.Do(removeRange("\x00", "\x00"), put("e", "1"))
		s.All()
		s.GetAt("c", 3)
	}},
	{Name: "A4.12_read_only_txn", Run: func(_ context.Context, s *Session) {
		s.Put("a", "1")
		serializable := getOp(&pb.RangeRequest{Key: []byte("a"), Serializable: true})
		s.Do(serializable, serializable)
		s.Txn(compares(valueIs("a", "1")), ops(serializable), ops(get("a")))
		s.Do(get("a"), nested(nil, ops(get("a")), nil))
		s.Txn(compares(versionIs("a", 1)), nil, ops(put("a", "2")))
		s.Put("b", "1")
	}},
	{Name: "A4.13_watch_sees_the_txn_at_once", Run: func(_ context.Context, s *Session) {
		s.Put("old", "1")
		w := s.Watch()
		w.Create(&pb.WatchCreateRequest{Key: []byte{0}, RangeEnd: []byte{0}, PrevKv: true})
		s.Do(put("c", "1"), remove("old"), put("a", "1"), nested(nil, ops(put("n", "1")), nil), put("b", "1"))
		w.Responses(1)
		s.Do(puts("k", 128)...)
		w.Responses(1)
	}},
}

// comparesAround yields every target with a smaller, the equal and a larger operand
// for a key that was written twice with value "m" under lease 7.
func comparesAround() []*pb.Compare {
	var list []*pb.Compare
	for delta := int64(-1); delta <= 1; delta++ {
		list = append(list,
			&pb.Compare{Target: pb.Compare_VERSION, TargetUnion: &pb.Compare_Version{Version: 2 + delta}},
			&pb.Compare{Target: pb.Compare_CREATE, TargetUnion: &pb.Compare_CreateRevision{CreateRevision: 2 + delta}},
			&pb.Compare{Target: pb.Compare_MOD, TargetUnion: &pb.Compare_ModRevision{ModRevision: 3 + delta}},
			&pb.Compare{Target: pb.Compare_LEASE, TargetUnion: &pb.Compare_Lease{Lease: 7 + delta}},
			&pb.Compare{Target: pb.Compare_VALUE, TargetUnion: &pb.Compare_Value{Value: []byte{'m' + byte(delta)}}})
	}
	zero := []*pb.Compare{
		{Target: pb.Compare_VERSION}, {Target: pb.Compare_CREATE}, {Target: pb.Compare_MOD},
		{Target: pb.Compare_LEASE}, {Target: pb.Compare_VALUE},
	}
	return append(list, zero...)
}

func puts(prefix string, count int) []*pb.RequestOp {
	var list []*pb.RequestOp
	for i := range count {
		list = append(list, put(fmt.Sprintf("%s%03d", prefix, i), ""))
	}
	return list
}

func operationsLimit(_ context.Context, s *Session) {
	many := make([]*pb.Compare, 129)
	for i := range many {
		many[i] = versionIs("a", 0)
	}
	s.Note("128 in both branches")
	s.Txn(many[:128], puts("a", 128), puts("b", 128))
	s.Note("129 somewhere")
	s.Txn(many, nil, nil)
	s.Txn(nil, puts("a", 129), nil)
	s.Txn(nil, nil, puts("a", 129))
	s.Do(puts("a", 10_000)...)
	s.Note("nested")
	s.Do(nested(nil, puts("a", 127), nil))
	s.Do(nested(nil, puts("a", 128), nil))
	s.Do(nested(nil, nil, puts("a", 128)))
	s.Do(nested(many[:128], nil, nil))
	s.Do(append(puts("x", 100), nested(nil, puts("a", 27), nil))...)
	s.Do(append(puts("x", 100), nested(nil, puts("a", 28), nil))...)
	s.Do(nested(nil, ops(nested(nil, puts("a", 126), nil)), nil))
	s.Do(nested(nil, ops(nested(nil, puts("a", 127), nil)), nil))
	s.Do(nested(nil, puts("a", 60), nil), nested(nil, puts("b", 126), nil))
}

func duplicateKeys(_ context.Context, s *Session) {
	s.Do(put("a", "0"), put("b", "0"), put("c", "0"))
	twice := ops(put("a", "1"), put("a", "2"))
	s.Txn(nil, twice, nil)
	s.Txn(nil, nil, twice)
	s.Do(put("a", "1"), remove("a"))
	s.Do(remove("a"), put("a", "1"))
	s.Do(removeRange("a", "c"), put("b", "1"))
	s.Do(put("b", "1"), removeRange("a", "c"))
	s.Do(removeRange("a", "c"), put("c", "1"))
	s.Do(put("a", "1"), nested(nil, ops(put("a", "2")), nil))
	s.Do(nested(nil, ops(put("a", "2")), nil), put("a", "1"))
	s.Do(put("a", "1"), nested(nil, ops(remove("a")), nil))
	s.Do(remove("a"), nested(nil, nil, ops(put("a", "1"))))
	s.Do(nested(nil, ops(put("a", "1")), nil), nested(nil, ops(put("a", "2")), nil))
	s.Note("allowed")
	s.Do(nested(nil, ops(put("a", "3")), ops(put("a", "4"))))
	s.Do(removeRange("a", "c"), remove("a"), removeRange("b", "d"))
	s.Do(get("a"), put("a", "5"), get("a"))
	s.Txn(nil, ops(put("a", "6")), ops(put("a", "7")))
	s.Do(nested(nil, ops(remove("a")), nil), remove("a"))
	s.All()
}

var txnDivergences = []Divergence{{
	Name:     "A4.11_value_of_a_key_deleted_before",
	Reason:   "etcd 3.7 does not see that a delete from a key on overlaps a put, and crashes when that put asks to keep the value",
	Etcd:     "server gone",
	Taffrail: "still serving",
	Run: func(_ context.Context, s *Session) string {
		s.Do(put("a", "1"), put("c", "1"))
		keep := putOp(&pb.PutRequest{Key: []byte("c"), IgnoreValue: true})
		s.Do(removeRange("b", "\x00"), keep)
		if s.All() == nil {
			return "server gone"
		}
		return "still serving"
	},
}}
