package cluster

import (
	"context"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	consistentReads    = "apiserver_watch_cache_consistent_read_total"
	consistencyChecks  = "apiserver_storage_consistency_checks_total"
	etcdRequests       = "etcd_requests_total"
	etcdRequestErrors  = "etcd_request_errors_total"
	consistentReadsMin = 20
)

// cacheReads asserts, over a stretch of the test, that every consistent read was
// answered by a watch cache, which needs the backend's progress notifications within
// three seconds, and that no cache was found to differ from the store.
//
// The stretch in which the backend is dead is left out. A consistent read needs the
// store's newest revision and a cache that has reached it; when the store goes away in
// between, falling back to it (and failing) is what kube-apiserver is written to do.
// What must hold again, it must hold as soon as the cluster has converged. So is its start:
// kube-apiserver gives up a store of service accounts while it still connects to the backend.
type cacheReads struct {
	start Metrics
}

func (r *cacheReads) begin(ctx context.Context, t *testing.T, c *Cluster) {
	var err error
	if r.start, err = ReadMetrics(ctx, c.Client); err != nil {
		t.Fatal(err)
	}
}

func (r *cacheReads) check(ctx context.Context, t *testing.T, c *Cluster) {
	for range consistentReadsMin {
		if _, err := c.Client.CoreV1().Pods(metav1.NamespaceAll).List(ctx, metav1.ListOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	metrics, err := ReadMetrics(ctx, c.Client)
	if err != nil {
		t.Fatal(err)
	}
	delta := func(name string, labels map[string]string) float64 {
		return metrics.Sum(name, labels) - r.start.Sum(name, labels)
	}
	if count := delta(consistentReads, map[string]string{"fallback": "true"}); count != 0 {
		t.Errorf("%v consistent reads fell back to the store:\n%s", count, metrics.Describe(consistentReads, map[string]string{"fallback": "true"}))
	}
	if count := delta(consistentReads, map[string]string{"success": "false"}); count != 0 {
		t.Errorf("%v consistent reads failed:\n%s", count, metrics.Describe(consistentReads, map[string]string{"success": "false"}))
	}
	fromCache := delta(consistentReads, map[string]string{"success": "true", "fallback": "false"})
	if fromCache < consistentReadsMin {
		t.Errorf("%v consistent reads were answered by a cache, want at least %d", fromCache, consistentReadsMin)
	}
	if count := delta(etcdRequestErrors, nil); count != 0 {
		t.Errorf("%v requests to the backend failed:\n%s", count, metrics.Describe(etcdRequestErrors, nil))
	}
	t.Logf("consistent reads from a cache: %v; requests to the backend: %v", fromCache, delta(etcdRequests, nil))
	r.wereCompared(ctx, t, c)
}

// wereCompared asserts that kube-apiserver's own comparison of caches with the store
// has run in this stretch and has found no difference (it panics when it does).
func (r *cacheReads) wereCompared(ctx context.Context, t *testing.T, c *Cluster) {
	t.Helper()
	pods := map[string]string{"resource": "pods", "status": "success"}
	var metrics Metrics
	Eventually(t, 3*consistencyCheckPeriod, "the cache of pods has been compared with the store", func() error {
		var err error
		if metrics, err = ReadMetrics(ctx, c.Client); err != nil {
			return err
		}
		return want("compared", metrics.Sum(consistencyChecks, pods) > r.start.Sum(consistencyChecks, pods), true)
	})
	results := metrics.By(consistencyChecks, "status")
	t.Logf("comparisons of caches with the store since the start: %v", results)
	if results["failure"] != 0 {
		t.Errorf("caches differ from the store:\n%s", metrics.Describe(consistencyChecks, map[string]string{"status": "failure"}))
	}
}
