package parity

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

var (
	seed      = flag.Uint64("seed", 0, "first seed of the random sequences; 0 takes one from the clock")
	steps     = flag.Int("steps", 300, "calls in a random sequence")
	sequences = flag.Int("sequences", 4, "how many random sequences, each with the next seed")
)

// TestRandom sends random calls to both servers. The name of a failing sequence holds its
// seed: -run TestRandom -seed N -sequences 1 repeats it.
func TestRandom(t *testing.T) {
	t.Parallel()
	first := *seed
	if first == 0 {
		first = uint64(time.Now().UnixNano()) % 1_000_000
	}
	t.Logf("seeds %d to %d, %d steps each", first, first+uint64(*sequences)-1, *steps)
	for i := range *sequences {
		number := first + uint64(i)
		t.Run(fmt.Sprintf("seed_%d", number), func(t *testing.T) {
			t.Parallel()
			compare(t, Script{Name: t.Name(), Run: func(ctx context.Context, s *Session) {
				playRandom(ctx, s, rand.New(rand.NewPCG(number, 0)), number%2 == 1)
			}})
		})
	}
}

// chance draws requests. It sees no answers, so that both servers get the same.
type chance struct {
	*rand.Rand
	// written is at least the number of revisions so far.
	written int64
	// fromKey: the deletes of the next transaction may reach to the end of the keys. Then its
	// puts must not ask for the value that was there: etcd 3.7 crashes (see A4.11).
	fromKey bool
	// compacted is the last revision that both were told to compact.
	compacted int64
	// firstCompacted is the least revision to compact. A member of etcd that is killed within 100 ms of
	// compacting at 0 has compacted nothing when it comes back, as only a revision above 0 is taken up again.
	firstCompacted int64
}

// playRandom watches everything while it writes, or else restarts the server in between.
func playRandom(ctx context.Context, s *Session, random *rand.Rand, restarts bool) {
	c := &chance{Rand: random}
	var live *WatchStream
	if restarts {
		c.firstCompacted = 1
	} else {
		live = s.Watch()
		live.Send(&pb.WatchRequest{RequestUnion: &pb.WatchRequest_CreateRequest{
			CreateRequest: &pb.WatchCreateRequest{Key: []byte{0}, RangeEnd: []byte{0}}}})
		live.Await("created", func(r *pb.WatchResponse) bool { return r.Created })
	}
	for step := range *steps {
		s.Note("step %d", step)
		c.step(ctx, s)
		if restarts && c.IntN(100) == 0 {
			s.Restart()
		}
	}
	s.Put("zz", "sentinel")
	if live != nil {
		live.Flat(ctx, "sentinel", "zz")
	}
	for range 10 {
		c.watchHistory(ctx, s)
	}
	s.All()
}

// watchHistory reads from a random revision up to the sentinel, or is told that it is gone.
func (c *chance) watchHistory(ctx context.Context, s *Session) {
	written := s.Put("zz", "sentinel")
	if written == nil {
		s.Fail("no sentinel")
	}
	w := s.Watch()
	defer w.Close()
	start := 1 + c.Int64N(written.Header.Revision)
	// What came before an event at the compacted revision may be shown or not (A5.3).
	w.Create(&pb.WatchCreateRequest{Key: []byte(c.key()), RangeEnd: []byte{0},
		StartRevision: start, PrevKv: start != c.compacted && c.IntN(2) == 0})
	w.Flat(ctx, "sentinel", "zz")
}

func (c *chance) step(ctx context.Context, s *Session) {
	c.written++
	switch n := c.IntN(100); {
	case n < 30:
		s.PutRequest(c.put())
	case n < 40:
		s.DeleteRange(c.delete())
	case n < 60:
		s.Range(c.getRange())
	case n < 85:
		s.Txn(c.compares(), c.ops(0), c.ops(0))
		c.fromKey = !c.fromKey
	case n < 88:
		revision := max(c.revision(), c.firstCompacted)
		if s.Compact(revision) != nil {
			c.compacted = revision
		}
	case n < 92:
		s.Grant(c.lease(), 1000+c.Int64N(1000))
	case n < 94:
		s.Revoke(c.lease())
	case n < 96:
		s.TimeToLive(c.lease())
	default:
		s.RangeStreamMerged(ctx, &pb.RangeRequest{Key: []byte(c.key()), RangeEnd: c.end(), Revision: c.revision(), Limit: c.Int64N(6)})
	}
}

// key is one of few, so that calls meet; an empty one is rare.
func (c *chance) key() string {
	if c.IntN(60) == 0 {
		return ""
	}
	return []string{"a", "aa", "ab", "b", "c", "d", "\x00", "e\xff"}[c.IntN(8)]
}

func (c *chance) end() []byte {
	switch c.IntN(8) {
	case 0, 1, 2, 3:
		return nil
	case 4:
		return []byte{0}
	}
	return []byte(c.key())
}

// revision is mostly the current one, at times an old, a future or a negative one.
func (c *chance) revision() int64 {
	if c.IntN(3) > 0 {
		return 0
	}
	return c.Int64N(c.written+4) - 1
}

func (c *chance) lease() int64 { return 1 + c.Int64N(4) }

func (c *chance) put() *pb.PutRequest {
	request := &pb.PutRequest{Key: []byte(c.key()), Value: []byte(fmt.Sprint(c.IntN(5))), PrevKv: c.IntN(3) == 0}
	switch c.IntN(10) {
	case 0, 1:
		request.Lease = c.lease()
	case 2:
		request.IgnoreLease = true
	case 3:
		request.IgnoreValue, request.Value = true, nil
	case 4:
		request.Value = nil
	}
	return request
}

func (c *chance) delete() *pb.DeleteRangeRequest {
	return &pb.DeleteRangeRequest{Key: []byte(c.key()), RangeEnd: c.end(), PrevKv: c.IntN(2) == 0}
}

func (c *chance) getRange() *pb.RangeRequest {
	request := &pb.RangeRequest{Key: []byte(c.key()), RangeEnd: c.end(), Revision: c.revision(),
		KeysOnly: c.IntN(5) == 0, CountOnly: c.IntN(8) == 0, Serializable: c.IntN(4) == 0}
	if c.IntN(3) == 0 {
		request.Limit = c.Int64N(6) - 1
	}
	if c.IntN(3) == 0 {
		request.SortOrder = pb.RangeRequest_SortOrder(c.IntN(3))
		request.SortTarget = pb.RangeRequest_SortTarget(c.IntN(5))
	}
	if c.IntN(5) == 0 {
		request.MinModRevision, request.MaxModRevision = c.revision(), c.revision()
		request.MinCreateRevision, request.MaxCreateRevision = c.revision(), c.revision()
	}
	return request
}

func (c *chance) compares() []*pb.Compare {
	var list []*pb.Compare
	for range c.IntN(3) {
		compare := &pb.Compare{Key: []byte(c.key()), Result: pb.Compare_CompareResult(c.IntN(4))}
		number := c.Int64N(5)
		switch c.IntN(5) {
		case 0:
			compare.Target, compare.TargetUnion = pb.Compare_VERSION, &pb.Compare_Version{Version: number}
		case 1:
			compare.Target, compare.TargetUnion = pb.Compare_CREATE, &pb.Compare_CreateRevision{CreateRevision: c.Int64N(c.written + 2)}
		case 2:
			compare.Target, compare.TargetUnion = pb.Compare_MOD, &pb.Compare_ModRevision{ModRevision: c.Int64N(c.written + 2)}
		case 3:
			compare.Target, compare.TargetUnion = pb.Compare_VALUE, &pb.Compare_Value{Value: []byte(fmt.Sprint(number))}
		case 4:
			compare.Target, compare.TargetUnion = pb.Compare_LEASE, &pb.Compare_Lease{Lease: number}
		}
		if c.IntN(4) == 0 {
			compare.RangeEnd = c.end()
		}
		list = append(list, compare)
	}
	return list
}

func (c *chance) ops(depth int) []*pb.RequestOp {
	var list []*pb.RequestOp
	for range c.IntN(4) {
		switch n := c.IntN(10); {
		case n < 4:
			request := c.put()
			request.IgnoreValue, request.IgnoreLease = request.IgnoreValue && !c.fromKey, request.IgnoreLease && !c.fromKey
			list = append(list, putOp(request))
		case n < 6:
			request := c.delete()
			if !c.fromKey && string(request.RangeEnd) == "\x00" {
				request.RangeEnd = nil
			}
			list = append(list, removeOp(request))
		case n < 9 || depth == 2:
			list = append(list, getOp(c.getRange()))
		default:
			list = append(list, nested(c.compares(), c.ops(depth+1), c.ops(depth+1)))
		}
	}
	return list
}
