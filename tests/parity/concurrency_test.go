package parity

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/concurrency"
)

// TestConcurrency uses clientv3's recipes. Their calls interleave by chance: these
// scripts note what came out instead of recording every call.
func TestConcurrency(t *testing.T) { runSection(t, concurrencyScripts) }

var concurrencyScripts = []Script{
	{Name: "concurrency_mutex", Run: mutexes},
	{Name: "concurrency_try_lock", Run: tryLock},
	{Name: "concurrency_election", Run: elections},
	{Name: "concurrency_session_ends", Run: sessionEnds},
	{Name: "concurrency_stm", Run: transfers},
}

func (s *Session) session(ctx context.Context, client *clientv3.Client, ttl int) *concurrency.Session {
	session, err := concurrency.NewSession(client, concurrency.WithTTL(ttl), concurrency.WithContext(ctx))
	if err != nil {
		s.Fail("session: %v", err)
	}
	return session
}

// mutexes lets ten sessions count under one lock.
func mutexes(ctx context.Context, s *Session) {
	client := s.Client(ctx)
	defer client.Close()
	var inside, most, total atomic.Int32
	var done sync.WaitGroup
	failures := make(chan error, 10)
	for range 10 {
		done.Add(1)
		go func() {
			defer done.Done()
			failures <- lockAndCount(ctx, client, &inside, &most, &total)
		}()
	}
	done.Wait()
	for range 10 {
		if err := <-failures; err != nil {
			s.Note("failure: %v", err)
		}
	}
	s.Note("counted %d, together inside at most %d", total.Load(), most.Load())
	s.awaitCount(ctx, "mutex/", 0)
}

func lockAndCount(ctx context.Context, client *clientv3.Client, inside, most, total *atomic.Int32) error {
	session, err := concurrency.NewSession(client, concurrency.WithTTL(30))
	if err != nil {
		return err
	}
	defer session.Close()
	mutex := concurrency.NewMutex(session, "mutex")
	for range 5 {
		if err := mutex.Lock(ctx); err != nil {
			return err
		}
		if now := inside.Add(1); now > most.Load() {
			most.Store(now)
		}
		total.Add(1)
		inside.Add(-1)
		if err := mutex.Unlock(ctx); err != nil {
			return err
		}
	}
	return nil
}

func tryLock(ctx context.Context, s *Session) {
	client := s.Client(ctx)
	defer client.Close()
	first, second := s.session(ctx, client, 30), s.session(ctx, client, 30)
	mine, yours := concurrency.NewMutex(first, "mutex"), concurrency.NewMutex(second, "mutex")
	s.Note("lock: %v", mine.TryLock(ctx))
	s.Note("taken: %v", yours.TryLock(ctx))
	s.Note("again: %v", mine.TryLock(ctx))
	s.Note("unlock: %v", mine.Unlock(ctx))
	s.Note("free: %v", yours.TryLock(ctx))
	s.Note("the holder's session ends: %v", second.Close())
	s.Note("free: %v", mine.TryLock(ctx))
	s.Note("header revision %d", mine.Header().Revision)
}

func elections(ctx context.Context, s *Session) {
	client := s.Client(ctx)
	defer client.Close()
	first, second := s.session(ctx, client, 30), s.session(ctx, client, 30)
	office, rival := concurrency.NewElection(first, "office"), concurrency.NewElection(second, "office")
	_, err := office.Leader(ctx)
	s.Note("nobody: %v", err)
	s.Note("campaign: %v", office.Campaign(ctx, "first"))
	observed := rival.Observe(ctx)
	s.Note("observed %q", (<-observed).Kvs[0].Value)
	won := make(chan error, 1)
	go func() { won <- rival.Campaign(ctx, "second") }()
	s.awaitCount(ctx, "office/", 2)
	s.Note("proclaim: %v", office.Proclaim(ctx, "still first"))
	s.Note("observed %q", (<-observed).Kvs[0].Value)
	s.Note("resign: %v", office.Resign(ctx))
	s.Note("the rival wins: %v", <-won)
	s.Note("observed %q", (<-observed).Kvs[0].Value)
	leader, err := office.Leader(ctx)
	if err != nil {
		s.Fail("leader: %v", err)
	}
	s.Note("leader %q at %d", leader.Kvs[0].Value, leader.Kvs[0].CreateRevision)
	s.Note("late: %v", office.Proclaim(ctx, "late"))
}

// sessionEnds drops a client without a goodbye: its lease expires and the next one gets in.
func sessionEnds(ctx context.Context, s *Session) {
	lost, client := s.Client(ctx), s.Client(ctx)
	defer client.Close()
	holder := concurrency.NewMutex(s.session(ctx, lost, 2), "mutex")
	s.Note("lock: %v", holder.Lock(ctx))
	begin := time.Now()
	s.Note("client lost: %v", lost.Close())
	heir := s.session(ctx, client, 30)
	mutex := concurrency.NewMutex(heir, "mutex")
	s.Note("lock: %v", mutex.Lock(ctx))
	waited := time.Since(begin)
	s.Note("after the lease: %v", waited > time.Second && waited < 10*time.Second)
	s.Note("the heir's session lives: %v", heir.Ctx().Err() == nil)
}

// transfers moves money between accounts in concurrent software transactions.
func transfers(ctx context.Context, s *Session) {
	client := s.Client(ctx)
	defer client.Close()
	for i := range 4 {
		if _, err := client.Put(ctx, account(i), "100"); err != nil {
			s.Fail("put: %v", err)
		}
	}
	for _, isolation := range []concurrency.Isolation{concurrency.SerializableSnapshot, concurrency.Serializable, concurrency.RepeatableReads} {
		var done sync.WaitGroup
		for worker := range 6 {
			done.Add(1)
			go func() {
				defer done.Done()
				for step := range 5 {
					transfer(ctx, client, isolation, worker, step)
				}
			}()
		}
		done.Wait()
		sum := 0
		for i := range 4 {
			answer, err := client.Get(ctx, account(i))
			if err != nil {
				s.Fail("get: %v", err)
			}
			balance := 0
			_, _ = fmt.Sscan(string(answer.Kvs[0].Value), &balance)
			sum += balance
		}
		s.Note("isolation %d: sum %d", isolation, sum)
	}
}

func account(i int) string { return fmt.Sprint("account/", i%4) }

func transfer(ctx context.Context, client *clientv3.Client, isolation concurrency.Isolation, worker, step int) {
	from, to := account(worker), account(worker+step%3+1)
	_, _ = concurrency.NewSTM(client, func(stm concurrency.STM) error {
		var left, right int
		_, _ = fmt.Sscan(stm.Get(from), &left)
		_, _ = fmt.Sscan(stm.Get(to), &right)
		stm.Put(from, fmt.Sprint(left-1))
		stm.Put(to, fmt.Sprint(right+1))
		return nil
	}, concurrency.WithIsolation(isolation), concurrency.WithAbortContext(ctx))
}
