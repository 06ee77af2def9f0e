package parity

import (
	"context"
	"fmt"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/kubernetes"
	"google.golang.org/grpc/metadata"
)

func TestKubernetes(t *testing.T) { runSection(t, kubernetesScripts) }

var kubernetesScripts = []Script{
	{Name: "A17.1_client_calls", Run: kubernetesCalls},
	{Name: "A17.2_watch", Options: progressFlags, Run: func(ctx context.Context, s *Session) {
		s.Put("/registry/pods/a", "1")
		w := s.WatchWith(metadata.AppendToOutgoingContext(ctx, "hasleader", "true"))
		prefix := "/registry/pods/"
		w.Create(&pb.WatchCreateRequest{Key: []byte(prefix), RangeEnd: prefixEnd(prefix), StartRevision: 3, PrevKv: true, ProgressNotify: true})
		s.Put("/registry/pods/a", "2")
		s.Delete("/registry/pods/a")
		w.Progress(0, 4)
		s.Put("/registry/services/a", "1")
		w.Progress(0, 5)
	}},
	{Name: "A17.3_compaction_by_the_apiserver", Run: func(_ context.Context, s *Session) {
		key := "compact_rev_key"
		step := func(version int64, revision string) {
			s.Txn(compares(versionIs(key, version)), ops(put(key, revision)), ops(get(key)))
		}
		step(0, "0")
		step(0, "0")
		s.Fill("/registry/", 10)
		step(1, "12")
		step(1, "12")
		s.Compact(12)
		step(2, "13")
		s.All()
	}},
	{Name: "A17.4_leases_of_events", Run: func(ctx context.Context, s *Session) {
		lease := s.Grant(0, 3660)
		for i := range 3 {
			key := fmt.Sprint("/registry/events/", i)
			s.Txn(compares(modIs(key, 0)), ops(putOp(&pb.PutRequest{Key: []byte(key), Value: []byte("e"), Lease: lease})), nil)
		}
		s.TimeToLive(lease)
		s.All()
		s.Revoke(lease)
		s.All()
	}},
}

func kubernetesCalls(ctx context.Context, s *Session) {
	client, err := kubernetes.New(clientv3.Config{
		Endpoints:   []string{s.Server.URL()},
		DialOptions: s.DialOptions(nil),
	})
	if err != nil {
		s.Fail("kubernetes client: %v", err)
	}
	defer client.Close()
	note := func(what string, answer any, err error) { s.Note("%s: %+v %v", what, answer, err) }
	putAnswer, err := client.Kubernetes.OptimisticPut(ctx, "/r/a", []byte("1"), 0, kubernetes.PutOptions{})
	note("create", putAnswer.Revision, err)
	for _, revision := range []int64{0, 2, 99} {
		putAnswer, err = client.Kubernetes.OptimisticPut(ctx, "/r/a", []byte("2"), revision, kubernetes.PutOptions{GetOnFailure: true})
		note("put", putAnswer.Succeeded, err)
	}
	s.Fill("/r/k", 7)
	for _, revision := range []int64{0, 2, 5, 99} {
		got, err := client.Kubernetes.Get(ctx, "/r/a", kubernetes.GetOptions{Revision: revision})
		note("get", got.Revision, err)
	}
	page, err := client.Kubernetes.List(ctx, "/r/", kubernetes.ListOptions{Limit: 3})
	note("list", page.Count, err)
	if err == nil && len(page.Kvs) == 3 {
		next := string(page.Kvs[2].Key) + "\x00"
		page, err = client.Kubernetes.List(ctx, "/r/", kubernetes.ListOptions{Limit: 3, Revision: page.Revision, Continue: next})
		note("next page", page.Count, err)
	}
	count, err := client.Kubernetes.Count(ctx, "/r/", kubernetes.CountOptions{})
	note("count", count, err)
	for _, revision := range []int64{2, 3, 3} {
		gone, err := client.Kubernetes.OptimisticDelete(ctx, "/r/a", revision, kubernetes.DeleteOptions{GetOnFailure: true})
		note("delete", gone.Succeeded, err)
	}
	status, err := client.Status(ctx, s.Server.URL())
	note("version", withoutPatch(status.Version), err)
}
