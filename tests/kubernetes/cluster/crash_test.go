package cluster

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/tools/cache"

	"taffrail.test/kubernetes/backend"
)

const (
	writers = 6
	rounds  = 3
	// writesPerRound is what each writer must have acknowledged before a kill, and
	// again after the restart.
	writesPerRound = 200
	outage         = 1500 * time.Millisecond
	// writesMeanwhile is what each writer must have acknowledged while a member is dead.
	writesMeanwhile = 20
	// writesPartitioned is the same while a member is cut off from its peers. kube-apiserver
	// goes on asking it, as it answers: every third request waits there for a leader that is
	// not to be had until its time is up, whoever the backend is, and a write takes several.
	writesPartitioned = 2
	reroutingLimit    = 2 * time.Minute
	recoveryLimit     = 60 * time.Second
	ledgerSpace       = "ledger"
)

// backendIsKilledUnderLoad kills the backend with SIGKILL while writers write and a
// deployment grows, starts it again on its data, and does so again, and then compares what
// was acknowledged with what is there. Of several members the leader is killed, and in one
// round another one is cut off from both others first, while the deployment grows to 200 pods.
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
		leases.beforeKill(ctx, t, c, round)
		if round == 1 && c.Backend.Several() {
			podsConvergeThroughFaults(ctx, t, c, ledgers)
		} else {
			scaleShips(ctx, t, c, 105+15*round)
			restart(t, leaderIsKilled(ctx, t, c, ledgers))
		}
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

// leaderIsKilled kills the server that leads and returns it. Of several members the others
// go on.
func leaderIsKilled(ctx context.Context, t *testing.T, c *Cluster, ledgers []*ledger) *backend.Server {
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
	return leader
}

// restart starts a server that was killed again on its data.
func restart(t *testing.T, server *backend.Server) {
	t.Helper()
	restarting := time.Now()
	if err := server.Restart(); err != nil {
		t.Fatal(err)
	}
	t.Logf("%s is healthy again after %.2f s", server.Name, time.Since(restarting).Seconds())
}

// podsConvergeThroughFaults lets a deployment grow to 200 pods while a member that does not
// lead is cut off from its peers, and the leader is killed before that member is back. The
// third member alone is no majority; with the one that comes back it is, so that whatever was
// acknowledged meanwhile is there only if the third has it.
func podsConvergeThroughFaults(ctx context.Context, t *testing.T, c *Cluster, ledgers []*ledger) {
	t.Helper()
	_, followers, err := c.Backend.Leader(ctx)
	if err != nil {
		t.Fatal(err)
	}
	cutOff := followers[0]
	scaleShips(ctx, t, c, fleetPods-50)
	if err := c.Backend.CutOff(cutOff); err != nil {
		t.Fatal(err)
	}
	everyWriterWritesWithin(t, reroutingLimit, ledgers, writesPartitioned, "while "+cutOff.Name+" is cut off from its peers")
	leader, others, err := c.Backend.Leader(ctx, cutOff)
	if err != nil {
		t.Fatal(err)
	}
	isAlone(ctx, t, cutOff, leader)
	scaleShips(ctx, t, c, fleetPods)
	tellHowManyPodsRun(ctx, t, c)
	leader.Process.Kill()
	time.Sleep(outage)
	if err := cutOff.Heal(); err != nil {
		t.Fatal(err)
	}
	everyWriterWritesWithin(t, reroutingLimit, ledgers, writesMeanwhile, "while "+leader.Name+", which led, is dead, and "+cutOff.Name+" is back")
	restart(t, leader)
	podsRun(ctx, t, c, "ships", "ship:1", fleetPods)
	for _, member := range []*backend.Server{cutOff, leader} {
		catchesUp(ctx, t, member, others[0])
	}
}

// isAlone asserts that clients still reach the member that was cut off, that it has no
// leader, and that it has not what the others wrote since.
func isAlone(ctx context.Context, t *testing.T, cutOff, leader *backend.Server) {
	t.Helper()
	Eventually(t, recoveryLimit, cutOff.Name+" says that it has no leader", func() error {
		return cutOff.LacksLeader(ctx)
	})
	newest, err := leader.Revision(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if reached, err := cutOff.Revision(ctx); err != nil || reached >= newest {
		t.Errorf("%s has reached revision %d of %d without its peers (%v)", cutOff.Name, reached, newest, err)
	}
}

// catchesUp waits until a member has what another one has.
func catchesUp(ctx context.Context, t *testing.T, member, other *backend.Server) {
	t.Helper()
	newest, err := other.Revision(ctx)
	if err != nil {
		t.Fatal(err)
	}
	Eventually(t, recoveryLimit, member.Name+" has caught up", func() error {
		reached, err := member.Revision(ctx)
		if err == nil && reached < newest {
			err = fmt.Errorf("it has reached revision %d of %d", reached, newest)
		}
		return err
	})
}

// scaleShips says how many pods the deployment shall have; it returns as soon as that is
// acknowledged, long before they run.
func scaleShips(ctx context.Context, t *testing.T, c *Cluster, replicas int) {
	t.Helper()
	patch := fmt.Appendf(nil, `{"spec":{"replicas":%d}}`, replicas)
	Eventually(t, reroutingLimit, fmt.Sprintf("the deployment of ships is scaled to %d", replicas), func() error {
		ctx, cancel := context.WithTimeout(ctx, requestLimit)
		defer cancel()
		_, err := c.Client.AppsV1().Deployments("fleet").Patch(ctx, "ships", types.MergePatchType, patch, metav1.PatchOptions{}, "scale")
		return err
	})
}

// tellHowManyPodsRun shows how much is still to come when the leader is killed, by what
// kube-apiserver's cache has without asking the backend.
func tellHowManyPodsRun(ctx context.Context, t *testing.T, c *Cluster) {
	t.Helper()
	running := 0
	Eventually(t, recoveryLimit, "the cache of pods answers", func() error {
		pods, err := c.Client.CoreV1().Pods("fleet").List(ctx, metav1.ListOptions{LabelSelector: "app=ships", ResourceVersion: "0"})
		if err != nil {
			return err
		}
		running = 0
		for _, pod := range pods.Items {
			if pod.Status.Phase == corev1.PodRunning {
				running++
			}
		}
		return nil
	})
	t.Logf("when the leader is killed, %d of %d pods run", running, fleetPods)
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
