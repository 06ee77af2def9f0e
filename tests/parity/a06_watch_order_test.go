package parity

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/protobuf/proto"
)

func TestWatchOrder(t *testing.T) { runSection(t, watchOrderScripts) }

// progressFlags make the periodic notifications of A6.14 come soon.
var progressFlags = Options{Flags: []string{"--watch-progress-notify-interval", "200ms"}}

var watchOrderScripts = []Script{
	{Name: "A6.10_long_history_in_order", Run: func(ctx context.Context, s *Session) {
		writeHistory(ctx, s, 1200)
		w := s.Watch()
		w.Send(createFrom("k", 2))
		w.Flat(ctx, "end of history", "k-last")
	}},
	{Name: "A6.10b_history_while_writing", Run: func(ctx context.Context, s *Session) {
		writeHistory(ctx, s, 600)
		w := s.Watch()
		w.Send(createFrom("k", 2))
		writeHistory(ctx, s, 300)
		if err := s.QuietPut(ctx, "k-end", nil); err != nil {
			s.Fail("put: %v", err)
		}
		w.Flat(ctx, "end of history", "k-end")
	}},
	{Name: "A6.10c_every_watch_of_a_stream_sees_all", Run: func(ctx context.Context, s *Session) {
		writeHistory(ctx, s, 200)
		for _, revision := range []int64{2, 50, 150, 0} {
			w := s.Watch()
			w.Send(createFrom("k", revision))
			w.Await("created", func(r *pb.WatchResponse) bool { return r.Created })
			if err := s.QuietPut(ctx, "k-more", nil); err != nil {
				s.Fail("put: %v", err)
			}
			w.Flat(ctx, "the newest event", "k-more")
		}
	}},
	{Name: "A6.13_requested_progress", Run: func(_ context.Context, s *Session) {
		w := s.Watch()
		w.RequestProgress()
		w.Nothing("sentinel")
		w.CreatePrefix("a", 0)
		w.RequestProgress()
		w.Responses(1)
		s.Put("a", "1")
		s.Put("b", "1")
		w.Events(1)
		w.RequestProgress()
		w.Responses(1)
		w.CreatePrefix("b", 0)
		w.RequestProgress()
		w.Responses(1)
	}},
	{Name: "A6.13b_no_progress_with_a_future_watch", Run: func(_ context.Context, s *Session) {
		w := s.Watch()
		w.CreatePrefix("a", 0)
		w.CreatePrefix("b", 1000)
		w.RequestProgress()
		w.Nothing("sentinel")
		w.Cancel(1)
		w.RequestProgress()
		w.Responses(1)
	}},
	{Name: "A6.13c_progress_is_not_ahead_of_events", Run: func(ctx context.Context, s *Session) {
		w := s.Watch()
		w.CreatePrefix("k", 0)
		writeHistory(ctx, s, 300)
		w.RequestProgress()
		got, _ := w.Collect("progress", func(r *pb.WatchResponse) bool { return r.WatchId == -1 })
		events := 0
		for _, response := range got {
			events += len(response.Events)
		}
		s.Note("all %d events came before progress at revision %d", events, got[len(got)-1].Header.Revision)
	}},
	{Name: "A6.14_periodic_progress", Options: progressFlags, Run: func(_ context.Context, s *Session) {
		w := s.Watch()
		w.Create(&pb.WatchCreateRequest{Key: []byte("a")})
		w.Create(&pb.WatchCreateRequest{Key: []byte("a"), ProgressNotify: true, StartRevision: 1000})
		w.Create(&pb.WatchCreateRequest{Key: []byte("a"), ProgressNotify: true, WatchId: 7})
		w.Progress(7, 1)
		s.Put("a", "1")
		s.Put("b", "1")
		w.Progress(7, 3)
		w.Progress(7, 3)
		s.Put("b", "2")
		w.Progress(7, 4)
	}},
	{Name: "A6.18b_a_stream_that_is_not_read_blocks_nobody", Run: neverReads},
}

func createFrom(prefix string, revision int64) *pb.WatchRequest {
	create := &pb.WatchCreateRequest{Key: []byte(prefix), RangeEnd: prefixEnd(prefix), StartRevision: revision, PrevKv: true}
	return &pb.WatchRequest{RequestUnion: &pb.WatchRequest_CreateRequest{CreateRequest: create}}
}

// writeHistory makes count revisions: puts, deletes and transactions on a few keys.
func writeHistory(ctx context.Context, s *Session, count int) {
	for i := range count {
		key := fmt.Sprint("k", i%7)
		request := &pb.TxnRequest{Success: ops(put(key, fmt.Sprint(i)))}
		switch {
		case i%5 == 4:
			request.Success = ops(put(key+"x", "1"), removeRange("k0", key), put(key, fmt.Sprint(i)))
		case i%11 == 10:
			request.Success = ops(remove("k"+fmt.Sprint((i+6)%7)), put(key, ""))
		}
		if _, err := s.KV.Txn(Quiet(ctx), request); err != nil {
			s.Fail("history: %v", err)
		}
	}
	if err := s.QuietPut(ctx, "k-last", []byte(fmt.Sprint(count))); err != nil {
		s.Fail("history: %v", err)
	}
}

// Flat records events, not responses, up to the last event of a key or the end of the
// watch: how catching up is
// cut into responses depends on time. What must hold for the cut is checked.
func (w *WatchStream) Flat(ctx context.Context, what, lastKey string) {
	answer, err := w.session.KV.Range(Quiet(ctx), &pb.RangeRequest{Key: []byte(lastKey)})
	if err != nil || len(answer.Kvs) != 1 {
		w.session.Fail("no %s: %v", lastKey, err)
	}
	last := answer.Kvs[0].ModRevision
	got, end := w.Collect(what, func(r *pb.WatchResponse) bool {
		return r.Canceled || len(r.Events) > 0 && r.Events[len(r.Events)-1].Kv.ModRevision >= last
	})
	previous := int64(0)
	for _, response := range got {
		previous = w.checkCut(response, previous)
		for _, event := range response.Events {
			w.session.recorder.line("%s", w.session.recorder.render(proto.Message(event)))
		}
	}
	if end.Canceled {
		w.session.recorder.answer(end, nil)
	}
}

// checkCut notes where a response breaks the rules and returns its last revision.
func (w *WatchStream) checkCut(response *pb.WatchResponse, previous int64) int64 {
	for i, event := range response.Events {
		revision := event.Kv.ModRevision
		if i == 0 && revision == previous && !w.fragmented {
			w.session.Note("revision %d is cut in two", revision)
		}
		if revision < previous {
			w.session.Note("revision %d after %d", revision, previous)
		}
		previous = revision
	}
	w.fragmented = response.Fragment
	if previous > response.Header.Revision {
		w.session.Note("event %d is newer than the header %d", previous, response.Header.Revision)
	}
	return previous
}

// Progress waits for a notification of the watch at the revision and records it with
// all events on the way; how many notifications come earlier depends on time.
func (w *WatchStream) Progress(id, revision int64) {
	isProgress := func(r *pb.WatchResponse) bool { return len(r.Events) == 0 && !r.Created && !r.Canceled }
	got, _ := w.Collect("progress", func(r *pb.WatchResponse) bool {
		return isProgress(r) && r.WatchId == id && r.Header.Revision >= revision
	})
	last := len(got) - 1
	var kept []*pb.WatchResponse
	for i, response := range got {
		if i == last || !isProgress(response) || response.WatchId != id {
			kept = append(kept, response)
		}
	}
	w.record(kept)
}

// neverReads opens a stream, lets 30 MB of events pile up and reads them only then.
func neverReads(ctx context.Context, s *Session) {
	lazyContext, cancel := context.WithCancel(Quiet(ctx))
	defer cancel()
	branch := s.Branch()
	defer branch.Close()
	lazy, err := branch.Watcher.Watch(lazyContext)
	if err != nil {
		s.Fail("watch: %v", err)
	}
	if err := lazy.Send(createFrom("k", 0)); err != nil {
		s.Fail("create: %v", err)
	}
	if _, err := lazy.Recv(); err != nil {
		s.Fail("created: %v", err)
	}
	busy := s.Watch()
	busy.CreatePrefix("k", 0)
	value := []byte(strings.Repeat("v", 100<<10))
	for i := range 300 {
		if err := s.QuietPut(ctx, fmt.Sprintf("k%03d", i), value); err != nil {
			s.Fail("put: %v", err)
		}
	}
	busy.Flat(ctx, "the last put", "k299")
	s.Note("the lazy stream got %d events in order", readInOrder(s, lazy, 300))
}

func readInOrder(s *Session, stream pb.Watch_WatchClient, count int) int {
	seen := 0
	for seen < count {
		response, err := stream.Recv()
		if err != nil {
			s.Fail("after %d events: %v", seen, err)
		}
		for _, event := range response.Events {
			if event.Kv.ModRevision != int64(seen+2) {
				s.Fail("revision %d instead of %d", event.Kv.ModRevision, seen+2)
			}
			seen++
		}
	}
	return seen
}

// clientWatches shows what clientv3 makes of cancellations and progress.
func clientWatches(ctx context.Context, s *Session) {
	s.Fill("a", 5)
	s.Compact(4)
	client := s.Client(ctx)
	defer client.Close()
	read := func(what string, options ...clientv3.OpOption) {
		watchContext, cancel := context.WithTimeout(Quiet(ctx), watchTimeout)
		defer cancel()
		for response := range client.Watch(watchContext, "a", options...) {
			s.Note("%s: events %d created %v canceled %v compact revision %d progress %v: %v", what, len(response.Events),
				response.Created, response.Canceled, response.CompactRevision, response.IsProgressNotify(), response.Err())
			if errors.Is(response.Err(), context.DeadlineExceeded) || len(response.Events) > 0 {
				break
			}
		}
	}
	read("compacted", clientv3.WithPrefix(), clientv3.WithRev(2))
	read("at the compacted revision", clientv3.WithPrefix(), clientv3.WithRev(4), clientv3.WithCreatedNotify())
	read("empty range", clientv3.WithRange("Z"))
	read("negative", clientv3.WithRev(-1))
	progressContext, cancel := context.WithTimeout(Quiet(ctx), watchTimeout)
	defer cancel()
	watch := client.Watch(progressContext, "a", clientv3.WithPrefix(), clientv3.WithCreatedNotify())
	<-watch
	for range 3 {
		if err := client.RequestProgress(progressContext); err != nil {
			s.Fail("request progress: %v", err)
		}
		select {
		case response := <-watch:
			s.Note("progress %v at %d", response.IsProgressNotify(), response.Header.Revision)
			return
		case <-time.After(2 * time.Second):
		}
	}
	s.Note("no progress")
}
