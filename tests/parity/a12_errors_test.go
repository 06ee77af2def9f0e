package parity

import (
	"context"
	"strings"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"
)

func TestErrors(t *testing.T) { runSection(t, errorScripts) }

var errorScripts = []Script{
	{Name: "A12.1_metadata", Run: func(ctx context.Context, s *Session) {
		s.Put("a", "1")
		request, err := proto.Marshal(&pb.RangeRequest{Key: []byte("a")})
		if err != nil {
			s.Fail("marshal: %v", err)
		}
		s.RawCall(pb.KV_Range_FullMethodName, nil, frame(0, request), &pb.RangeResponse{})
		s.RawCall(pb.KV_Range_FullMethodName, map[string]string{"client-api-version": "\xff\xfe"}, frame(0, request), &pb.RangeResponse{})
		s.RawCall(pb.KV_Range_FullMethodName, map[string]string{"client-api-version": "3.99.0"}, frame(0, request), &pb.RangeResponse{})
		s.RawCall(pb.Watch_Watch_FullMethodName, map[string]string{"client-api-version": "\xff\xfe"}, nil, &pb.WatchResponse{})
		leader := metadata.AppendToOutgoingContext(ctx, "hasleader", "true")
		_, _ = s.KV.Range(leader, &pb.RangeRequest{Key: []byte("a")})
	}},
	{Name: "A12.2_unknown_methods", Run: func(ctx context.Context, s *Session) {
		for _, method := range []string{"/etcdserverpb.KV/Nonsense", "/nonsense.Service/Method", "/etcdserverpb.Nonsense/Range"} {
			_ = s.Connection.Invoke(ctx, method, &pb.RangeRequest{}, &pb.RangeResponse{})
		}
	}},
	{Name: "A12.3_messages_that_are_none", Run: func(_ context.Context, s *Session) {
		for _, body := range [][]byte{frame(0, []byte{0xff, 0xff, 0xff}), frame(0, []byte{0x0a, 0x7f, 'a'}), frame(1, []byte("plain"))} {
			response, err := s.rawResponse(pb.KV_Range_FullMethodName, nil, body)
			if err != nil {
				s.Fail("call: %v", err)
			}
			_ = response.Body.Close()
			s.Note("malformed request: grpc-status %q", trailer(response, "Grpc-Status"))
		}
		response, err := s.rawResponse(pb.Auth_Authenticate_FullMethodName, nil, frame(0, []byte{0x0a, 2, 0xc3, 0x28}))
		if err != nil {
			s.Fail("call: %v", err)
		}
		_ = response.Body.Close()
		s.Note("a name that is not UTF-8: grpc-status %q", trailer(response, "Grpc-Status"))
		s.Put("still", "serving")
	}},
	{Name: "A12.4_deadline", Run: func(ctx context.Context, s *Session) {
		s.Grant(1, 1000)
		s.Grant(2, 1000)
		_, _ = s.Lock.Lock(ctx, lockRequest(1))
		short, cancel := context.WithTimeout(ctx, 500*time.Millisecond)
		defer cancel()
		_, _ = s.Lock.Lock(short, lockRequest(2))
		gone, cancelAtOnce := context.WithCancel(ctx)
		cancelAtOnce()
		_, _ = s.KV.Put(gone, &pb.PutRequest{Key: []byte("a")})
		s.awaitCount(ctx, "mutex/", 1)
		s.All()
	}},
	{Name: "A12.5_stop_with_open_streams", Run: func(ctx context.Context, s *Session) {
		s.Put("a", strings.Repeat("v", 1000))
		w := s.Watch()
		w.CreatePrefix("a", 0)
		s.Grant(7, 1000)
		begin := time.Now()
		s.Server.Stop()
		s.Note("ended in time: %v", time.Since(begin) < 10*time.Second)
		if err := s.Server.Start(ctx); err != nil {
			s.Fail("start: %v", err)
		}
		s.Reopen()
		s.All()
		s.TimeToLive(7)
	}},
}
