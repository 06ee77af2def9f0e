package parity

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"net/url"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/protobuf/proto"
)

// RawCall makes a gRPC call by hand, with headers that no gRPC library would send, and
// records what comes back.
func (s *Session) RawCall(method string, headers map[string]string, body []byte, reply proto.Message) {
	s.recorder.line("> raw %s %q", method, headers)
	response, err := s.rawResponse(method, headers, body)
	if err != nil {
		s.recorder.line("! %s", s.Names.Text(err.Error()))
		return
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	if err != nil {
		s.recorder.line("! body: %v", err)
	}
	s.recorder.line("< %d content-type %q encoding %q", response.StatusCode,
		response.Header.Get("Content-Type"), response.Header.Get("Grpc-Encoding"))
	s.recorder.line("  grpc-status %q grpc-message %q", trailer(response, "Grpc-Status"), s.Names.Text(grpcMessage(response)))
	if len(raw) > 0 {
		s.recordFrame(raw, reply)
	}
}

func (s *Session) rawResponse(method string, headers map[string]string, body []byte) (*http.Response, error) {
	request, err := http.NewRequestWithContext(s.ctx, "POST", "http://"+s.Server.Address()+method, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/grpc")
	request.Header.Set("Te", "trailers")
	for name, value := range headers {
		request.Header.Set(name, value)
	}
	dial := func(ctx context.Context, network, address string, _ *tls.Config) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, address)
	}
	client := http.Client{Transport: &http2.Transport{AllowHTTP: true, DialTLSContext: dial}, Timeout: callTimeout}
	return client.Do(request)
}

// trailer looks in the headers too: an answer without a body has its status there.
func trailer(response *http.Response, name string) string {
	if value := response.Trailer.Get(name); value != "" {
		return value
	}
	return response.Header.Get(name)
}

// grpcMessage is the text of an error, whose bytes a server may escape as it likes.
func grpcMessage(response *http.Response) string {
	escaped := trailer(response, "Grpc-Message")
	if plain, err := url.PathUnescape(escaped); err == nil {
		return plain
	}
	return escaped
}

// recordFrame shows the first message of a body.
func (s *Session) recordFrame(raw []byte, reply proto.Message) {
	if len(raw) < 5 {
		s.recorder.line("  short body %x", raw)
		return
	}
	message := raw[5:]
	s.recorder.line("  compressed %d", raw[0])
	if raw[0] == 1 {
		message = gunzip(message)
	}
	if err := proto.Unmarshal(message, reply); err != nil {
		s.recorder.line("  not a message: %v", err)
		return
	}
	s.recorder.line("%s", s.recorder.render(reply))
}

// frame is a message as it travels in a gRPC body.
func frame(compressed byte, message []byte) []byte {
	head := append([]byte{compressed}, 0, 0, 0, 0)
	binary.BigEndian.PutUint32(head[1:], uint32(len(message)))
	return append(head, message...)
}

func gzipped(message []byte) []byte {
	var buffer bytes.Buffer
	writer := gzip.NewWriter(&buffer)
	_, _ = writer.Write(message)
	_ = writer.Close()
	return buffer.Bytes()
}

func gunzip(message []byte) []byte {
	reader, err := gzip.NewReader(bytes.NewReader(message))
	if err != nil {
		return nil
	}
	plain, err := io.ReadAll(reader)
	if err != nil {
		return nil
	}
	return plain
}

// openStream opens a Watch call that stays open, frame by frame.
func openStream(framer *http2.Framer) error {
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	for _, field := range [][2]string{{":method", "POST"}, {":scheme", "http"}, {":path", pb.Watch_Watch_FullMethodName},
		{":authority", "localhost"}, {"content-type", "application/grpc"}, {"te", "trailers"}} {
		if err := encoder.WriteField(hpack.HeaderField{Name: field[0], Value: field[1]}); err != nil {
			return err
		}
	}
	return framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block.Bytes(), EndHeaders: true})
}
