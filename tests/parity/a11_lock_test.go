package parity

import (
	"context"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	electionpb "go.etcd.io/etcd/server/v3/etcdserver/api/v3election/v3electionpb"
	lockpb "go.etcd.io/etcd/server/v3/etcdserver/api/v3lock/v3lockpb"
)

func TestLockElection(t *testing.T) { runSection(t, lockScripts) }

func lockRequest(lease int64) *lockpb.LockRequest {
	return &lockpb.LockRequest{Name: []byte("mutex"), Lease: lease}
}

func campaign(lease int64, value string) *electionpb.CampaignRequest {
	return &electionpb.CampaignRequest{Name: []byte("office"), Lease: lease, Value: []byte(value)}
}

var lockScripts = []Script{
	{Name: "A11.1_lock_and_unlock", Run: func(ctx context.Context, s *Session) {
		s.Grant(0x1a2b, 1000)
		held, _ := s.Lock.Lock(ctx, lockRequest(0x1a2b))
		s.All()
		_, _ = s.Lock.Lock(ctx, lockRequest(0x1a2b))
		_, _ = s.Lock.Unlock(ctx, &lockpb.UnlockRequest{Key: held.GetKey()})
		_, _ = s.Lock.Unlock(ctx, &lockpb.UnlockRequest{Key: held.GetKey()})
		_, _ = s.Lock.Unlock(ctx, &lockpb.UnlockRequest{})
		_, _ = s.Lock.Lock(ctx, lockRequest(99))
		_, _ = s.Lock.Lock(ctx, &lockpb.LockRequest{Lease: 0x1a2b})
		s.All()
	}},
	{Name: "A11.1b_lock_waits", Run: func(ctx context.Context, s *Session) {
		s.Grant(1, 1000)
		s.Grant(2, 1000)
		held, _ := s.Lock.Lock(ctx, lockRequest(1))
		waiting := s.Branch()
		done := make(chan struct{})
		go func() { defer close(done); _, _ = waiting.Lock.Lock(ctx, lockRequest(2)) }()
		s.awaitCount(ctx, "mutex/", 2)
		s.All()
		_, _ = s.Lock.Unlock(ctx, &lockpb.UnlockRequest{Key: held.GetKey()})
		<-done
		s.Join("that waited", waiting)
		s.All()
	}},
	{Name: "A11.1c_lock_goes_on_when_the_lease_ends", Run: func(ctx context.Context, s *Session) {
		s.Grant(1, 1000)
		s.Grant(2, 1000)
		_, _ = s.Lock.Lock(ctx, lockRequest(1))
		waiting := s.Branch()
		done := make(chan struct{})
		go func() { defer close(done); _, _ = waiting.Lock.Lock(ctx, lockRequest(2)) }()
		s.awaitCount(ctx, "mutex/", 2)
		s.Revoke(1)
		<-done
		s.Join("that waited", waiting)
	}},
	{Name: "A11.1d_a_waiter_that_gives_up_leaves_nothing", Run: func(ctx context.Context, s *Session) {
		s.Grant(1, 1000)
		s.Grant(2, 1000)
		_, _ = s.Lock.Lock(ctx, lockRequest(1))
		short, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		_, _ = s.Lock.Lock(short, lockRequest(2))
		s.awaitCount(ctx, "mutex/", 1)
		s.All()
	}},
	{Name: "A11.1e_lock_without_lease", Run: func(ctx context.Context, s *Session) {
		held, err := s.Lock.Lock(Quiet(ctx), lockRequest(0))
		if err != nil {
			s.Fail("lock: %v", err)
		}
		kept, err := s.KV.Range(Quiet(ctx), &pb.RangeRequest{Key: held.Key})
		if err != nil || len(kept.Kvs) != 1 {
			s.Fail("lock key: %v %v", kept, err)
		}
		s.Names.Intern("lease", uint64(kept.Kvs[0].Lease))
		s.Record(held, nil)
		s.All()
		s.TimeToLive(kept.Kvs[0].Lease)
	}},
	{Name: "A11.2_election", Run: func(ctx context.Context, s *Session) {
		office := &electionpb.LeaderRequest{Name: []byte("office")}
		_, _ = s.Election.Leader(ctx, office)
		s.Grant(0xabc, 1000)
		won, _ := s.Election.Campaign(ctx, campaign(0xabc, "first"))
		_, _ = s.Election.Leader(ctx, office)
		_, _ = s.Election.Proclaim(ctx, &electionpb.ProclaimRequest{Leader: won.GetLeader(), Value: []byte("second")})
		_, _ = s.Election.Leader(ctx, office)
		_, _ = s.Election.Campaign(ctx, campaign(0xabc, "again"))
		s.All()
		_, _ = s.Election.Resign(ctx, &electionpb.ResignRequest{Leader: won.GetLeader()})
		_, _ = s.Election.Leader(ctx, office)
		_, _ = s.Election.Proclaim(ctx, &electionpb.ProclaimRequest{Leader: won.GetLeader(), Value: []byte("late")})
		_, _ = s.Election.Resign(ctx, &electionpb.ResignRequest{Leader: won.GetLeader()})
		_, _ = s.Election.Proclaim(ctx, &electionpb.ProclaimRequest{})
		_, _ = s.Election.Resign(ctx, &electionpb.ResignRequest{})
		_, _ = s.Election.Campaign(ctx, campaign(99, "no lease"))
		s.All()
	}},
	{Name: "A11.2b_campaign_waits", Run: func(ctx context.Context, s *Session) {
		s.Grant(1, 1000)
		s.Grant(2, 1000)
		won, _ := s.Election.Campaign(ctx, campaign(1, "first"))
		waiting := s.Branch()
		done := make(chan struct{})
		go func() { defer close(done); _, _ = waiting.Election.Campaign(ctx, campaign(2, "second")) }()
		s.awaitCount(ctx, "office/", 2)
		_, _ = s.Election.Leader(ctx, &electionpb.LeaderRequest{Name: []byte("office")})
		_, _ = s.Election.Resign(ctx, &electionpb.ResignRequest{Leader: won.GetLeader()})
		<-done
		s.Join("that waited", waiting)
		_, _ = s.Election.Leader(ctx, &electionpb.LeaderRequest{Name: []byte("office")})
	}},
	{Name: "A11.3_observe", Run: func(ctx context.Context, s *Session) {
		streamContext, cancel := context.WithTimeout(ctx, callTimeout)
		defer cancel()
		stream, err := s.Election.Observe(streamContext, &electionpb.LeaderRequest{Name: []byte("office")})
		if err != nil {
			s.Fail("observe: %v", err)
		}
		s.Grant(1, 1000)
		s.Grant(2, 1000)
		won, _ := s.Election.Campaign(ctx, campaign(1, "first"))
		_, _ = stream.Recv()
		_, _ = s.Election.Proclaim(ctx, &electionpb.ProclaimRequest{Leader: won.GetLeader(), Value: []byte("proclaimed")})
		_, _ = stream.Recv()
		_, _ = s.Election.Resign(ctx, &electionpb.ResignRequest{Leader: won.GetLeader()})
		_, _ = s.Election.Campaign(ctx, campaign(2, "second"))
		_, _ = stream.Recv()
	}},
}

// awaitCount waits until count keys have the prefix.
func (s *Session) awaitCount(ctx context.Context, prefix string, count int64) {
	request := &pb.RangeRequest{Key: []byte(prefix), RangeEnd: prefixEnd(prefix), CountOnly: true}
	for deadline := time.Now().Add(callTimeout); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if answer, err := s.KV.Range(Quiet(ctx), request); err == nil && answer.Count == count {
			return
		}
	}
	s.Fail("not %d keys below %s", count, prefix)
}
