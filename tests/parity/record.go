package parity

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// callTimeout bounds one unary call; an answer that does not come is a difference.
const callTimeout = 10 * time.Second

// recorder writes everything that passes over a connection as text.
type recorder struct {
	names *Names
	mutex sync.Mutex
	text  strings.Builder
}

type quietKey struct{}

// Quiet returns a context whose calls are not recorded.
func Quiet(ctx context.Context) context.Context {
	return context.WithValue(ctx, quietKey{}, true)
}

func isQuiet(ctx context.Context) bool { return ctx.Value(quietKey{}) != nil }

func (r *recorder) line(format string, arguments ...any) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	fmt.Fprintf(&r.text, format+"\n", arguments...)
}

func (r *recorder) String() string {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	return r.text.String()
}

func (r *recorder) request(method string, message any) {
	r.line("> %s\n%s", strings.TrimPrefix(method, "/"), r.render(message))
}

func (r *recorder) answer(message any, err error) {
	if err != nil {
		r.failure(err)
		return
	}
	r.line("<\n%s", r.render(message))
}

// failure writes code, text and details of an error.
func (r *recorder) failure(err error) {
	if errors.Is(err, io.EOF) {
		r.line("< end of stream")
		return
	}
	state, _ := status.FromError(err)
	if state.Code() == codes.DeadlineExceeded || state.Code() == codes.Canceled {
		// Client and server give up at the same moment: whose text it is is chance.
		r.line("! %s", state.Code())
		return
	}
	r.line("! %s %q", state.Code(), r.names.Text(state.Message()))
	for _, detail := range state.Details() {
		r.line("  detail %v", detail)
	}
}

func (r *recorder) render(message any) string {
	if m, ok := message.(proto.Message); ok {
		return strings.TrimSuffix(Render(r.names, m), "\n")
	}
	return fmt.Sprintf("  %v", message)
}

// unary is the interceptor for calls with one request and one response.
func (r *recorder) unary(ctx context.Context, method string, request, reply any, connection *grpc.ClientConn, invoke grpc.UnaryInvoker, options ...grpc.CallOption) error {
	if isQuiet(ctx) {
		return invoke(ctx, method, request, reply, connection, options...)
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	err := invoke(ctx, method, request, reply, connection, options...)
	r.nameLease(request, reply, err)
	r.request(method, request)
	r.answer(reply, err)
	return err
}

// nameLease gives a lease id that the server chose a name.
func (r *recorder) nameLease(request, reply any, err error) {
	grant, isGrant := request.(*pb.LeaseGrantRequest)
	if isGrant && err == nil && grant.ID == 0 {
		r.names.Intern("lease", uint64(reply.(*pb.LeaseGrantResponse).ID))
	}
}

// stream is the interceptor for streams: messages are recorded as the script sends
// and receives them.
func (r *recorder) stream(ctx context.Context, description *grpc.StreamDesc, connection *grpc.ClientConn, method string, open grpc.Streamer, options ...grpc.CallOption) (grpc.ClientStream, error) {
	stream, err := open(ctx, description, connection, method, options...)
	if isQuiet(ctx) {
		return stream, err
	}
	if err != nil {
		r.line("> %s", method)
		r.failure(err)
		return nil, err
	}
	return &recordedStream{ClientStream: stream, recorder: r, method: method}, nil
}

type recordedStream struct {
	grpc.ClientStream
	recorder *recorder
	method   string
}

func (s *recordedStream) SendMsg(message any) error {
	s.recorder.request(s.method, message)
	return s.ClientStream.SendMsg(message)
}

func (s *recordedStream) RecvMsg(message any) error {
	err := s.ClientStream.RecvMsg(message)
	s.recorder.answer(message, err)
	return err
}
