package parity

import (
	"context"
	"fmt"
	"sort"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

// watchTimeout is how long a script waits for a response that should come.
const watchTimeout = 10 * time.Second

// WatchStream is one Watch RPC. Responses reach the transcript when the script waits
// for them, grouped by watch id: the order between different watches of a stream is
// chance, the order within each is not.
type WatchStream struct {
	session   *Session
	stream    pb.Watch_WatchClient
	cancel    context.CancelFunc
	responses chan *pb.WatchResponse
	ended     error
	// fragmented: the response before was the beginning of one that goes on.
	fragmented bool
}

// Watch opens a stream.
func (s *Session) Watch() *WatchStream { return s.WatchWith(s.ctx) }

// WatchWith opens a stream whose context carries metadata.
func (s *Session) WatchWith(ctx context.Context) *WatchStream {
	ctx, cancel := context.WithCancel(Quiet(ctx))
	stream, err := s.Watcher.Watch(ctx)
	if err != nil {
		cancel()
		s.Fail("watch: %v", err)
	}
	w := &WatchStream{session: s, stream: stream, cancel: cancel, responses: make(chan *pb.WatchResponse, 1<<16)}
	go w.receive()
	return w
}

func (w *WatchStream) receive() {
	defer close(w.responses)
	for {
		response, err := w.stream.Recv()
		if err != nil {
			w.ended = err
			return
		}
		w.responses <- response
	}
}

// Send sends a request as it is.
func (w *WatchStream) Send(request *pb.WatchRequest) {
	w.session.recorder.request("etcdserverpb.Watch/Watch", request)
	if err := w.stream.Send(request); err != nil {
		w.session.recorder.failure(err)
	}
}

// Create asks for a watch and waits until it is created or refused.
func (w *WatchStream) Create(request *pb.WatchCreateRequest) *pb.WatchResponse {
	w.SendCreate(request)
	return w.Await("created", func(r *pb.WatchResponse) bool { return r.Created })
}

// SendCreate asks for a watch and does not wait.
func (w *WatchStream) SendCreate(request *pb.WatchCreateRequest) {
	w.Send(&pb.WatchRequest{RequestUnion: &pb.WatchRequest_CreateRequest{CreateRequest: request}})
}

// CreatePrefix watches all keys that begin with prefix, from a revision on (0: from now).
func (w *WatchStream) CreatePrefix(prefix string, revision int64) *pb.WatchResponse {
	return w.Create(&pb.WatchCreateRequest{Key: []byte(prefix), RangeEnd: prefixEnd(prefix), StartRevision: revision})
}

// Cancel ends a watch and waits until that is confirmed.
func (w *WatchStream) Cancel(id int64) {
	w.SendCancel(id)
	w.Await("canceled", func(r *pb.WatchResponse) bool { return r.Canceled && r.WatchId == id })
}

// SendCancel ends a watch and does not wait.
func (w *WatchStream) SendCancel(id int64) {
	request := &pb.WatchCancelRequest{WatchId: id}
	w.Send(&pb.WatchRequest{RequestUnion: &pb.WatchRequest_CancelRequest{CancelRequest: request}})
}

// RequestProgress asks for a progress notification and does not wait.
func (w *WatchStream) RequestProgress() {
	request := &pb.WatchProgressRequest{}
	w.Send(&pb.WatchRequest{RequestUnion: &pb.WatchRequest_ProgressRequest{ProgressRequest: request}})
}

// Await records all responses up to the first that fits, and returns that.
func (w *WatchStream) Await(what string, fits func(*pb.WatchResponse) bool) *pb.WatchResponse {
	got, last := w.Collect(what, fits)
	w.record(got)
	return last
}

// Collect is Await without recording.
func (w *WatchStream) Collect(what string, fits func(*pb.WatchResponse) bool) (got []*pb.WatchResponse, last *pb.WatchResponse) {
	deadline := time.After(watchTimeout)
	for {
		select {
		case response, open := <-w.responses:
			if !open {
				w.record(got)
				w.session.Fail("watch stream ended while waiting for %s: %v", what, w.ended)
			}
			got = append(got, response)
			if fits(response) {
				return got, response
			}
		case <-deadline:
			w.record(got)
			w.session.Fail("no %s within %v", what, watchTimeout)
		}
	}
}

// Events waits until count events have come.
func (w *WatchStream) Events(count int) {
	seen := 0
	w.Await(fmt.Sprintf("%d events", count), func(r *pb.WatchResponse) bool {
		seen += len(r.Events)
		return seen >= count
	})
}

// Responses waits for count responses.
func (w *WatchStream) Responses(count int) {
	seen := 0
	w.Await(fmt.Sprintf("%d responses", count), func(*pb.WatchResponse) bool {
		seen++
		return seen == count
	})
}

// Key waits for an event of the key: everything sent before it has arrived then.
func (w *WatchStream) Key(key string) { w.Await("event of "+key, hasKey(key)) }

// Nothing proves that nothing is on its way: it writes a sentinel key, which a watch
// of its own on this stream sees; all that is sent before that is recorded. No other
// watch of the stream may cover the sentinel.
func (w *WatchStream) Nothing(sentinel string) {
	w.Create(&pb.WatchCreateRequest{Key: []byte(sentinel), WatchId: 9000})
	w.session.Put(sentinel, "")
	w.Key(sentinel)
	w.Cancel(9000)
}

// End waits for the end of the stream and records its status.
func (w *WatchStream) End() {
	deadline := time.After(watchTimeout)
	for {
		select {
		case response, open := <-w.responses:
			if !open {
				w.session.recorder.failure(w.ended)
				return
			}
			w.record([]*pb.WatchResponse{response})
		case <-deadline:
			w.session.Fail("watch stream does not end")
		}
	}
}

// Close drops the stream.
func (w *WatchStream) Close() { w.cancel() }

func (w *WatchStream) record(responses []*pb.WatchResponse) {
	sort.SliceStable(responses, func(i, j int) bool { return responses[i].WatchId < responses[j].WatchId })
	for _, response := range responses {
		w.session.recorder.answer(response, nil)
	}
}

func hasKey(key string) func(*pb.WatchResponse) bool {
	return func(r *pb.WatchResponse) bool {
		for _, event := range r.Events {
			if string(event.Kv.Key) == key {
				return true
			}
		}
		return false
	}
}

// prefixEnd is the range end that makes a range of all keys with the prefix.
func prefixEnd(prefix string) []byte {
	end := []byte(prefix)
	for i := len(end) - 1; i >= 0; i-- {
		if end[i] < 0xff {
			end[i]++
			return end[:i+1]
		}
	}
	return []byte{0}
}
