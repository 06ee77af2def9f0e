package cluster

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/tools/cache"
)

const (
	writers = 6
	rounds  = 3
	// writesPerRound is what each writer must have acknowledged before a kill, and
	// again after the restart.
	writesPerRound = 200
	outage         = 1500 * time.Millisecond
	// writesMeanwhile is what each writer must have acknowledged while a member is out of
	// reach, within reroutingLimit: kube-apiserver's connections to it hang until keepalives
	// give each of them up, after 40 seconds, and their requests hold their places meanwhile.
	// With etcd that took 44 seconds on two busy cores.
	writesMeanwhile = 20
	reroutingLimit  = 2 * time.Minute
	// pause is how long a member is out of reach at least: several elections.
	pause         = 10 * time.Second
	recoveryLimit = 60 * time.Second
	ledgerSpace   = "ledger"
)

// backendIsKilledUnderLoad kills the backend with SIGKILL while writers write and a
// deployment grows, starts it again on its data, and does so again, and then compares what
// was acknowledged with what is there. Of several members the leader is killed, and in one
// round another one is out of reach first; then writing goes on meanwhile.
func backendIsKilledUnderLoad(ctx context.Context, t *testing.T, c *Cluster) {
	if err := createNamespace(ctx, c, ledgerSpace); err != nil {
		t.Fatal(err)
	}
	informer := followLedger(ctx, t, c)
	ledgers := openLedgers(ctx, t, c)
	writing, stop := context.WithCancel(ctx)
	var ended sync.WaitGroup
	for _, ledger := range ledgers {
		ended.Go(func() { ledger.write(writing) })
	}
	leases := &leasedThroughCrashes{}
	for round := range rounds {
		everyWriterWrites(t, ledgers, writesPerRound, "before the kill")
		if round == 1 && c.Backend.Several() {
			followerIsOutOfReach(ctx, t, c, ledgers)
		}
		leases.beforeKill(ctx, t, c, round)
		c.Kubectl(t, "", "-n", "fleet", "scale", "deployment/ships", fmt.Sprintf("--replicas=%d", 105+15*round))
		leaderIsKilled(ctx, t, c, ledgers)
		everyWriterWrites(t, ledgers, writesPerRound, "after the restart")
		leases.afterRestart(ctx, t, c)
	}
	stop()
	ended.Wait()
	settleLedgers(ctx, t, c, ledgers, informer)
	podsRun(ctx, t, c, "ships", "ship:1", 105+15*(rounds-1))
	podsRun(ctx, t, c, "boats", "boat:2", 12)
	controlPlaneIsUp(ctx, t, c)
	leases.expire(ctx, t, c)
}

// leaderIsKilled kills the server that leads and starts it again on its data.
func leaderIsKilled(ctx context.Context, t *testing.T, c *Cluster, ledgers []*ledger) {
	t.Helper()
	leader := c.Backend.Members[0]
	if c.Backend.Several() {
		var err error
		if leader, _, err = c.Backend.Leader(ctx); err != nil {
			t.Fatal(err)
		}
	}
	leader.Process.Kill()
	time.Sleep(outage)
	if c.Backend.Several() {
		everyWriterWrites(t, ledgers, writesMeanwhile, "while "+leader.Name+", which led, is dead")
	}
	restarting := time.Now()
	if err := leader.Restart(); err != nil {
		t.Fatal(err)
	}
	t.Logf("%s is healthy again after %.2f s", leader.Name, time.Since(restarting).Seconds())
}

// followerIsOutOfReach pauses a member that does not lead. Nothing may be lost by it, and
// it must catch up afterwards.
func followerIsOutOfReach(ctx context.Context, t *testing.T, c *Cluster, ledgers []*ledger) {
	t.Helper()
	leader, followers, err := c.Backend.Leader(ctx)
	if err != nil {
		t.Fatal(err)
	}
	paused := followers[0]
	started := time.Now()
	if err := paused.Process.Pause(); err != nil {
		t.Fatal(err)
	}
	everyWriterWritesWithin(t, reroutingLimit, ledgers, writesMeanwhile, "while "+paused.Name+" is out of reach")
	time.Sleep(time.Until(started.Add(pause)))
	if err := paused.Process.Resume(); err != nil {
		t.Fatal(err)
	}
	newest, err := leader.Revision(ctx)
	if err != nil {
		t.Fatal(err)
	}
	Eventually(t, recoveryLimit, fmt.Sprintf("%s has caught up after %.1f s out of reach", paused.Name, time.Since(started).Seconds()), func() error {
		reached, err := paused.Revision(ctx)
		if err == nil && reached < newest {
			err = fmt.Errorf("it has reached revision %d of %d", reached, newest)
		}
		return err
	})
	everyWriterWritesWithin(t, reroutingLimit, ledgers, writesPerRound, "after that")
}

// leasedThroughCrashes follows events whose leases are granted before a kill. A restart
// may lengthen a lease, by starting it anew at most; it may never shorten it.
type leasedThroughCrashes struct {
	reasons []string
	written time.Time
	started time.Time
}

func (l *leasedThroughCrashes) beforeKill(ctx context.Context, t *testing.T, c *Cluster, round int) {
	t.Helper()
	reason := fmt.Sprintf("Crash%d", round)
	l.written = time.Now()
	writeEvents(ctx, t, c, reason)
	l.reasons = append(l.reasons, reason)
}

func (l *leasedThroughCrashes) afterRestart(ctx context.Context, t *testing.T, c *Cluster) {
	t.Helper()
	l.started = time.Now()
	reason := l.reasons[len(l.reasons)-1]
	alive := eventsAlive(ctx, t, c, reason)
	if age := time.Since(l.written); age > eventTTL {
		t.Logf("too late to tell whether the kill shortened the life of %s: %s", reason, age)
	} else if alive != eventCount {
		t.Errorf("%d of %d events %s are alive %s after they were written, their time is %s", alive, eventCount, reason, age, eventTTL)
	}
}

func (l *leasedThroughCrashes) expire(ctx context.Context, t *testing.T, c *Cluster) {
	t.Helper()
	// A restart may lengthen a lease by its slack, which for one of this length is as long again.
	Eventually(t, time.Until(l.started.Add(2*eventTTL+expiryLag)), "events from before the kills have gone", func() error {
		for _, reason := range l.reasons {
			if err := want("events "+reason, eventsAlive(ctx, t, c, reason), 0); err != nil {
				return err
			}
		}
		return nil
	})
}

func openLedgers(ctx context.Context, t *testing.T, c *Cluster) []*ledger {
	t.Helper()
	maps := c.Client.CoreV1().ConfigMaps(ledgerSpace)
	var ledgers []*ledger
	for writer := range writers {
		ledger := newLedger(writer, maps)
		counter := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: ledger.counter()}, Data: map[string]string{"value": "-1"}}
		if _, err := maps.Create(ctx, counter, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		ledgers = append(ledgers, ledger)
	}
	return ledgers
}

// followLedger watches the namespace as a controller does, through all that happens.
func followLedger(ctx context.Context, t *testing.T, c *Cluster) cache.SharedIndexInformer {
	t.Helper()
	factory := informers.NewSharedInformerFactoryWithOptions(c.Client, 0, informers.WithNamespace(ledgerSpace))
	informer := factory.Core().V1().ConfigMaps().Informer()
	factory.StartWithContext(ctx)
	if !cache.WaitForCacheSync(ctx.Done(), informer.HasSynced) {
		t.Fatal("the ledger's informer does not get in step")
	}
	return informer
}

func everyWriterWrites(t *testing.T, ledgers []*ledger, writes int, when string) {
	t.Helper()
	everyWriterWritesWithin(t, recoveryLimit, ledgers, writes, when)
}

func everyWriterWritesWithin(t *testing.T, limit time.Duration, ledgers []*ledger, writes int, when string) {
	t.Helper()
	starts := make([]int, len(ledgers))
	for i, ledger := range ledgers {
		starts[i] = ledger.acknowledgedSoFar()
	}
	Eventually(t, limit, fmt.Sprintf("every writer has %d writes acknowledged %s", writes, when), func() error {
		for i, ledger := range ledgers {
			if now := ledger.acknowledgedSoFar() - starts[i]; now < writes {
				return fmt.Errorf("writer %d has %d", i, now)
			}
		}
		return nil
	})
}

// settleLedgers compares what every writer was told with what is there now. The last
// requests, cut off when writing stopped, may still take effect meanwhile; they count
// as unknown.
func settleLedgers(ctx context.Context, t *testing.T, c *Cluster, ledgers []*ledger, informer cache.SharedIndexInformer) {
	t.Helper()
	var objects map[string]corev1.ConfigMap
	Eventually(t, 30*time.Second, "the informer shows what the list shows", func() error {
		var err error
		if objects, err = listLedgers(ctx, c); err != nil {
			return err
		}
		return sameObjects(informer.GetStore().List(), objects)
	})
	acknowledged, failed := 0, 0
	for _, ledger := range ledgers {
		acknowledged, failed = acknowledged+ledger.acknowledged, failed+ledger.failed
		for _, violation := range ledger.settle(objects) {
			t.Error(violation)
		}
	}
	t.Logf("%d writes acknowledged, %d failed with an unknown outcome, %d objects", acknowledged, failed, len(objects))
}

func listLedgers(ctx context.Context, c *Cluster) (map[string]corev1.ConfigMap, error) {
	list, err := c.Client.CoreV1().ConfigMaps(ledgerSpace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	objects := map[string]corev1.ConfigMap{}
	for _, object := range list.Items {
		objects[object.Name] = object
	}
	return objects, nil
}

func sameObjects(followed []any, listed map[string]corev1.ConfigMap) error {
	for _, object := range followed {
		followed := object.(*corev1.ConfigMap)
		if version := listed[followed.Name].ResourceVersion; version != followed.ResourceVersion {
			return fmt.Errorf("%s is followed at %s and listed at %q", followed.Name, followed.ResourceVersion, version)
		}
	}
	return want("objects", len(followed), len(listed))
}
