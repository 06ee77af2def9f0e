package parity

import (
	"context"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
)

// Client is a clientv3 client. Its calls are not recorded: it makes some by itself, at
// times of its own.
func (s *Session) Client(ctx context.Context) *clientv3.Client {
	client, err := clientv3.New(clientv3.Config{
		Endpoints: []string{s.Server.URL()},
		TLS:       s.Server.TLS(),
		Context:   ctx,
		Logger:    zap.NewNop(),
	})
	if err != nil {
		s.Fail("clientv3: %v", err)
	}
	return client
}
