// Package testserver takes the place of k8s.io/apiserver/pkg/storage/etcd3/testserver
// when apiserver's own storage tests run against a server of ours: it has the same two
// functions, but starts a process instead of an etcd inside the test.
package testserver

import (
	"context"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/kubernetes"
	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest"
	storagetesting "k8s.io/apiserver/pkg/storage/testing"

	"taffrail.test/kubernetes/backend"
)

const dialTimeout = 10 * time.Second

// NewTestConfig returns etcd's default configuration; RunEtcd honours what the tests
// set in it: the progress-notify interval and TLS.
func NewTestConfig(testing.TB) *embed.Config {
	return embed.NewConfig()
}

// RunEtcd starts an empty cluster that lives until the test ends and returns a client
// connected to all of it, whose requests are recorded as apiserver's tests expect.
func RunEtcd(t testing.TB, config *embed.Config) *kubernetes.Client {
	t.Helper()
	if config == nil {
		config = NewTestConfig(t)
	}
	tls, err := config.ClientTLSInfo.ClientConfig()
	if err != nil {
		t.Fatal(err)
	}
	if config.ClientTLSInfo.Empty() {
		tls = nil
	}
	server := backend.Start(t, backend.Options{
		ProgressNotifyInterval: config.WatchProgressNotifyInterval,
		CertFile:               config.ClientTLSInfo.CertFile,
		KeyFile:                config.ClientTLSInfo.KeyFile,
		TrustedCAFile:          config.ClientTLSInfo.TrustedCAFile,
		ClientTLS:              tls,
		InMemory:               true,
	})
	return dial(t, clientv3.Config{
		TLS:         tls,
		Endpoints:   server.Endpoints(),
		DialTimeout: dialTimeout,
		Logger:      zaptest.NewLogger(t, zaptest.Level(zapcore.ErrorLevel)).Named("etcd-client"),
	})
}

func dial(t testing.TB, config clientv3.Config) *kubernetes.Client {
	t.Helper()
	client, err := kubernetes.New(config)
	if err != nil {
		t.Fatal(err)
	}
	context, cancel := context.WithTimeout(context.Background(), dialTimeout)
	defer cancel()
	if _, err := client.Status(context, config.Endpoints[0]); err != nil {
		t.Fatalf("the server does not answer Status: %v", err)
	}
	client.KV = storagetesting.NewKVRecorder(client.KV)
	client.Kubernetes = storagetesting.NewKubernetesRecorder(client.Kubernetes)
	return client
}
