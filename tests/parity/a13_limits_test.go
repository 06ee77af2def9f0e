package parity

import (
	"context"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"golang.org/x/net/http2"
	"google.golang.org/protobuf/proto"
)

func TestLimits(t *testing.T) { runSection(t, limitScripts) }

var limitScripts = []Script{
	{Name: "A13.1_many_streams", Run: func(ctx context.Context, s *Session) {
		const streams = 1000
		var opened sync.WaitGroup
		created := make(chan bool, streams)
		for range streams {
			opened.Add(1)
			go func() { defer opened.Done(); created <- opensWatch(ctx, s) }()
		}
		opened.Wait()
		count := 0
		for range streams {
			if <-created {
				count++
			}
		}
		s.Note("%d streams on one connection", count)
	}},
	{Name: "A13.1b_settings", Run: func(_ context.Context, s *Session) {
		limit, advertised := s.maxConcurrentStreams()
		s.Note("practically unlimited: %v", !advertised || limit >= 1<<31-1)
	}},
	{Name: "A13.1c_max_concurrent_streams_flag", Options: Options{Flags: []string{"--max-concurrent-streams", "7"}}, Run: func(_ context.Context, s *Session) {
		limit, advertised := s.maxConcurrentStreams()
		s.Note("limit %d %v", limit, advertised)
	}},
	{Name: "A13.2_too_many_pings", Run: func(_ context.Context, s *Session) {
		code, text := s.pingUntilGoAway(100*time.Millisecond, 20)
		s.Note("goaway %v %q", code, text)
	}},
	{Name: "A13.2b_patient_pings_are_tolerated", Run: func(_ context.Context, s *Session) {
		w := s.Watch()
		w.CreatePrefix("a", 0)
		code, text := s.pingWithStream(5500*time.Millisecond, 4)
		s.Note("goaway %v %q", code, text)
	}},
	{Name: "A13.3_compression", Run: func(_ context.Context, s *Session) {
		s.Put("a", "1")
		request, err := proto.Marshal(&pb.RangeRequest{Key: []byte("a")})
		if err != nil {
			s.Fail("marshal: %v", err)
		}
		both := map[string]string{"grpc-encoding": "gzip", "grpc-accept-encoding": "gzip"}
		s.RawCall(pb.KV_Range_FullMethodName, both, frame(1, gzipped(request)), &pb.RangeResponse{})
		s.RawCall(pb.KV_Range_FullMethodName, map[string]string{"grpc-accept-encoding": "gzip"}, frame(0, request), &pb.RangeResponse{})
		s.RawCall(pb.KV_Range_FullMethodName, map[string]string{"grpc-encoding": "deflate"}, frame(1, request), &pb.RangeResponse{})
	}},
	{Name: "A13.4_defaults", Run: func(ctx context.Context, s *Session) {
		answer, err := s.Maintenance.Status(Quiet(ctx), &pb.StatusRequest{})
		s.Record(&pb.StatusResponse{DbSizeQuota: answer.GetDbSizeQuota()}, err)
		s.Grant(1, 0)
		s.Grant(2, 9_000_000_001)
		s.Do(puts("a", 128)...)
		s.Do(puts("a", 129)...)
	}},
}

func opensWatch(ctx context.Context, s *Session) bool {
	stream, err := s.Watcher.Watch(Quiet(ctx))
	if err != nil || stream.Send(createFrom("k", 0)) != nil {
		return false
	}
	response, err := stream.Recv()
	return err == nil && response.Created
}

// framer opens a bare HTTP/2 connection.
func (s *Session) framer() (*http2.Framer, net.Conn) {
	connection, err := net.DialTimeout("tcp", s.Server.Address(), callTimeout)
	if err != nil {
		s.Fail("dial: %v", err)
	}
	if _, err := connection.Write([]byte(http2.ClientPreface)); err != nil {
		s.Fail("preface: %v", err)
	}
	framer := http2.NewFramer(connection, connection)
	if err := framer.WriteSettings(); err != nil {
		s.Fail("settings: %v", err)
	}
	return framer, connection
}

func (s *Session) maxConcurrentStreams() (uint32, bool) {
	framer, connection := s.framer()
	defer connection.Close()
	_ = connection.SetReadDeadline(time.Now().Add(callTimeout))
	for {
		received, err := framer.ReadFrame()
		if err != nil {
			s.Fail("no settings: %v", err)
		}
		if settings, is := received.(*http2.SettingsFrame); is && !settings.IsAck() {
			return settings.Value(http2.SettingMaxConcurrentStreams)
		}
	}
}

// pingUntilGoAway sends pings on a connection without a stream.
func (s *Session) pingUntilGoAway(interval time.Duration, count int) (string, string) {
	framer, connection := s.framer()
	defer connection.Close()
	return ping(framer, connection, interval, count)
}

// pingWithStream sends pings while a watch is open on the same connection.
func (s *Session) pingWithStream(interval time.Duration, count int) (string, string) {
	framer, connection := s.framer()
	defer connection.Close()
	if err := openStream(framer); err != nil {
		s.Fail("stream: %v", err)
	}
	return ping(framer, connection, interval, count)
}

// ping returns code and text of the GOAWAY frame, or "none".
func ping(framer *http2.Framer, connection net.Conn, interval time.Duration, count int) (string, string) {
	refused := make(chan *http2.GoAwayFrame, 1)
	go func() {
		defer close(refused)
		for {
			received, err := framer.ReadFrame()
			if err != nil {
				return
			}
			if away, is := received.(*http2.GoAwayFrame); is {
				refused <- away
				return
			}
		}
	}()
	for i := range count {
		if err := framer.WritePing(false, [8]byte{byte(i)}); err != nil {
			break
		}
		select {
		case away := <-refused:
			return describeGoAway(away)
		case <-time.After(interval):
		}
	}
	_ = connection.Close()
	return describeGoAway(<-refused)
}

func describeGoAway(away *http2.GoAwayFrame) (string, string) {
	if away == nil {
		return "none", ""
	}
	return fmt.Sprint(away.ErrCode), string(away.DebugData())
}
