package parity

import (
	"context"
	"crypto/tls"
	"path/filepath"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
)

func TestTLS(t *testing.T) { runSection(t, tlsScripts) }

var withTLS = Options{TLS: true}

var tlsScripts = []Script{
	{Name: "A15.1_client_certificate_required", Options: withTLS, Run: func(ctx context.Context, s *Session) {
		s.Put("a", "1")
		s.HTTP("GET", "/health", "")
		s.HTTP("POST", "/v3/kv/range", `{"key":"YQ=="}`)
		none := s.Server.TLS()
		none.Certificates = nil
		s.Note("without certificate: %v", s.handshake(none) == nil)
		stranger := s.strangerTLS()
		s.Note("certificate of another authority: %v", s.handshake(stranger) == nil)
		s.Note("with certificate: %v", s.handshake(s.Server.TLS()) == nil)
		s.Note("gRPC without certificate: %v", s.grpcWith(ctx, none) == nil)
		s.Note("gRPC with another authority's: %v", s.grpcWith(ctx, stranger) == nil)
		s.Note("gRPC without TLS: %v", s.grpcWith(ctx, nil) == nil)
		s.Get("a")
	}},
	{Name: "A15.2_server_certificate_is_checked", Options: withTLS, Run: func(_ context.Context, s *Session) {
		other, err := newAuthority(filepath.Join(s.Server.Dir, "other"))
		if err != nil {
			s.Fail("authority: %v", err)
		}
		config := s.Server.TLS()
		config.RootCAs = other.pool()
		s.Note("client that trusts another authority: %v", s.handshake(config) == nil)
	}},
	{Name: "A15.3_certificates_are_reloaded", Options: withTLS, Run: func(ctx context.Context, s *Session) {
		before := s.serverSerial()
		s.Put("a", "1")
		if err := s.Server.PKI.RotateServer(); err != nil {
			s.Fail("rotate: %v", err)
		}
		changed := false
		for deadline := time.Now().Add(callTimeout); !changed && time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
			changed = s.serverSerial() != before
		}
		s.Note("new certificate: %v", changed)
		s.Get("a")
		s.Note("new connection: %v", s.grpcWith(ctx, s.Server.TLS()) == nil)
	}},
	{Name: "A15.4_versions_and_protocols", Options: withTLS, Run: func(_ context.Context, s *Session) {
		for _, version := range []uint16{tls.VersionTLS10, tls.VersionTLS11, tls.VersionTLS12, tls.VersionTLS13} {
			config := s.Server.TLS()
			config.MinVersion, config.MaxVersion = version, version
			s.Note("%s: %v", tls.VersionName(version), s.handshake(config) == nil)
		}
		for _, protocols := range [][]string{{"h2"}, {"http/1.1"}, {"h2", "http/1.1"}, {"http/1.1", "h2"}, nil} {
			config := s.Server.TLS()
			config.NextProtos = protocols
			s.Note("%v: %s", protocols, s.negotiated(config))
		}
	}},
	{Name: "A15.5_minimum_version", Options: Options{TLS: true, Flags: []string{"--tls-min-version", "TLS1.3"}}, Run: func(_ context.Context, s *Session) {
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			config := s.Server.TLS()
			config.MinVersion, config.MaxVersion = version, version
			s.Note("%s: %v", tls.VersionName(version), s.handshake(config) == nil)
		}
	}},
	{Name: "A15.6_environment", Options: Options{Environment: []string{"ETCD_MAX_TXN_OPS=5"}}, Run: func(_ context.Context, s *Session) {
		s.Do(puts("a", 5)...)
		s.Do(puts("a", 6)...)
	}},
	{Name: "A15.7_config_file", Options: Options{ConfigFile: true, Flags: []string{"--max-txn-ops", "5"}}, Run: func(_ context.Context, s *Session) {
		s.Do(puts("a", 5)...)
		s.Do(puts("a", 6)...)
	}},
}

// handshake connects and reads: in TLS 1.3 a refused client hears it only then.
func (s *Session) handshake(config *tls.Config) error {
	connection, err := tls.Dial("tcp", s.Server.Address(), config)
	if err != nil {
		return err
	}
	defer connection.Close()
	_ = connection.SetDeadline(time.Now().Add(callTimeout))
	if _, err := connection.Write([]byte("GET /version HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")); err != nil {
		return err
	}
	_, err = connection.Read(make([]byte, 1))
	return err
}

func (s *Session) grpcWith(ctx context.Context, config *tls.Config) error {
	ctx, cancel := context.WithTimeout(Quiet(ctx), 3*time.Second)
	defer cancel()
	connection, err := grpc.NewClient("passthrough:///"+s.Server.Address(), s.DialOptions(config)...)
	if err != nil {
		return err
	}
	defer connection.Close()
	_, err = pb.NewKVClient(connection).Range(ctx, &pb.RangeRequest{Key: []byte("a")})
	return err
}

// strangerTLS trusts the server, but its certificate is of another authority.
func (s *Session) strangerTLS() *tls.Config {
	other, err := newAuthority(filepath.Join(s.Server.Dir, "stranger"))
	if err != nil {
		s.Fail("authority: %v", err)
	}
	config := other.clientConfig()
	config.RootCAs = s.Server.PKI.pool()
	return config
}

func (s *Session) serverSerial() string {
	connection, err := tls.Dial("tcp", s.Server.Address(), s.Server.TLS())
	if err != nil {
		s.Fail("dial: %v", err)
	}
	defer connection.Close()
	return connection.ConnectionState().PeerCertificates[0].SerialNumber.String()
}

// negotiated tells HTTP/2 from HTTP/1.1; whether the latter has been agreed upon or is
// only the default makes no difference to a client.
func (s *Session) negotiated(config *tls.Config) string {
	connection, err := tls.Dial("tcp", s.Server.Address(), config)
	if err != nil {
		return "refused"
	}
	defer connection.Close()
	if connection.ConnectionState().NegotiatedProtocol == "h2" {
		return "HTTP/2"
	}
	return "HTTP/1.1"
}
