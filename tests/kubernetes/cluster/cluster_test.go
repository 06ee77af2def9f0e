package cluster

import (
	"context"
	"flag"
	"fmt"
	"os"
	"testing"
	"time"

	"taffrail.test/kubernetes/backend"
)

const (
	nodeCount = 10
	testLimit = 12 * time.Minute
)

// phase is one concern of the cluster test. Phases build on what earlier ones left.
type phase struct {
	name string
	run  func(ctx context.Context, t *testing.T, c *Cluster)
}

// TestMain runs the tests where members can be parted from each other, or not at all.
func TestMain(m *testing.M) {
	flag.Parse()
	if err := backend.EnterOwnNetwork(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// TestCluster leads one control plane through a life: it is filled, changed, watched,
// its backend is killed under load, it is emptied, looked at from a second API server,
// and ended.
func TestCluster(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), testLimit)
	defer cancel()
	c := Start(t)
	kubelets, err := StartKubelets(ctx, c.Client, nodeCount)
	if err != nil {
		t.Fatal(err)
	}
	events := &eventLife{}
	before, after := &cacheReads{}, &cacheReads{}
	for _, phase := range []phase{
		{"the control plane is up", controlPlaneIsUp},
		{"caches are asked", before.begin},
		{"events are written", events.begin},
		{"resources through kubectl", resourcesThroughKubectl},
		{"custom resources", customResources},
		{"lists in pages", listsInPages},
		{"200 pods run", manyPodsRun},
		{"rolling update and scaling", rollingUpdateAndScaling},
		{"watches see every change", watchesSeeEveryChange},
		{"events have expired", events.expire},
		{"caches answered until now", before.check},
		{"the backend is killed under load", backendIsKilledUnderLoad},
		{"old revisions are compacted", oldRevisionsAreCompacted},
		{"caches are asked anew", after.begin},
		{"a namespace goes", namespaceGoes},
		{"an API server without watch cache", serverWithoutWatchCache},
		{"caches equal the store", cachesEqualTheStore},
		{"caches answered since then", after.check},
	} {
		if !t.Run(phase.name, func(t *testing.T) { phase.run(ctx, t, c) }) {
			t.FailNow()
		}
	}
	cancel()
	kubelets.Wait()
	t.Run("everything ends as asked", func(t *testing.T) { everythingEnds(t, c) })
}
