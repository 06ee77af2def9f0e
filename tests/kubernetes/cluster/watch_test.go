package cluster

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
)

const watchedChanges = 100

// watchesSeeEveryChange follows changes with `kubectl get -w` and with watches of
// client-go that begin before, between and after them.
func watchesSeeEveryChange(ctx context.Context, t *testing.T, c *Cluster) {
	if err := createNamespace(ctx, c, "watched"); err != nil {
		t.Fatal(err)
	}
	kubectlSeesChanges(ctx, t, c)
	fromTheStart(ctx, t, c)
	initialEvents(ctx, t, c)
}

func kubectlSeesChanges(ctx context.Context, t *testing.T, c *Cluster) {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, kubectlLimit)
	defer cancel()
	command, err := c.KubectlCommand(ctx, "-n", "watched", "get", "configmaps", "-l", "watched=yes", "-w",
		"--output-watch-events", "-o", "custom-columns=EVENT:.type,NAME:.object.metadata.name,VALUE:.object.data.value", "--no-headers")
	if err != nil {
		t.Fatal(err)
	}
	output, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { cancel(); _ = command.Wait() }()
	lines := collect(output)
	wanted := []string{"ADDED first 1"}
	c.Kubectl(t, configMap("first", "1"), "apply", "-f", "-")
	lines.expect(t, wanted)
	c.Kubectl(t, configMap("first", "2"), "apply", "-f", "-")
	c.Kubectl(t, configMap("second", "1"), "apply", "-f", "-")
	c.Kubectl(t, "", "-n", "watched", "delete", "configmap", "first")
	wanted = append(wanted, "MODIFIED first 2", "ADDED second 1", "DELETED first 2")
	lines.expect(t, wanted)
}

func configMap(name, value string) string {
	return fmt.Sprintf("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: %s, namespace: watched, labels: {watched: \"yes\"}}\ndata: {value: %q}\n", name, value)
}

// watchedLines gathers what a running command prints.
type watchedLines struct {
	lock  sync.Mutex
	lines []string
}

func collect(output io.Reader) *watchedLines {
	collected := &watchedLines{}
	go func() {
		for scanner := bufio.NewScanner(output); scanner.Scan(); {
			collected.lock.Lock()
			// EVENT, NAME, VALUE are padded to columns.
			collected.lines = append(collected.lines, strings.Join(strings.Fields(scanner.Text()), " "))
			collected.lock.Unlock()
		}
	}()
	return collected
}

func (w *watchedLines) expect(t *testing.T, wanted []string) {
	t.Helper()
	Eventually(t, 20*time.Second, fmt.Sprintf("kubectl get -w shows %d lines", len(wanted)), func() error {
		w.lock.Lock()
		defer w.lock.Unlock()
		if !slices.Equal(w.lines, wanted) {
			return fmt.Errorf("%q, want %q", w.lines, wanted)
		}
		return nil
	})
}

// fromTheStart makes changes and then watches from before, from the middle and, at the
// same time, live: each sees every later change once and in order.
func fromTheStart(ctx context.Context, t *testing.T, c *Cluster) {
	t.Helper()
	maps := c.Client.CoreV1().ConfigMaps("watched")
	counter, err := maps.Create(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "counter"}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	versions := []string{counter.ResourceVersion}
	live := watchCounter(ctx, t, c, versions[0])
	for i := range watchedChanges {
		counter.Data = map[string]string{"value": fmt.Sprint(i)}
		if counter, err = maps.Update(ctx, counter, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
		versions = append(versions, counter.ResourceVersion)
	}
	for _, from := range []int{0, watchedChanges / 2, watchedChanges - 1} {
		expectVersions(t, watchCounter(ctx, t, c, versions[from]), versions[from+1:])
	}
	expectVersions(t, live, versions[1:])
}

func watchCounter(ctx context.Context, t *testing.T, c *Cluster, resourceVersion string) watch.Interface {
	t.Helper()
	watcher, err := c.Client.CoreV1().ConfigMaps("watched").Watch(ctx, metav1.ListOptions{
		ResourceVersion: resourceVersion, FieldSelector: "metadata.name=counter",
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(watcher.Stop)
	return watcher
}

func expectVersions(t *testing.T, watcher watch.Interface, wanted []string) {
	t.Helper()
	limit := time.After(30 * time.Second)
	for i, version := range wanted {
		select {
		case event, open := <-watcher.ResultChan():
			changed, ok := event.Object.(*corev1.ConfigMap)
			if !open || !ok || changed.ResourceVersion != version {
				t.Fatalf("event %d of a watch: %v %v, want version %s", i, event.Type, event.Object, version)
			}
		case <-limit:
			t.Fatalf("a watch shows %d of %d changes", i, len(wanted))
		}
	}
}

// initialEvents asks for a list as a stream, which ends with a bookmark that only
// progress notifications from the backend can make come soon.
func initialEvents(ctx context.Context, t *testing.T, c *Cluster) {
	t.Helper()
	sendInitial := true
	started := time.Now()
	watcher, err := c.Client.CoreV1().ConfigMaps("pages").Watch(ctx, metav1.ListOptions{
		SendInitialEvents: &sendInitial, ResourceVersionMatch: metav1.ResourceVersionMatchNotOlderThan, AllowWatchBookmarks: true,
		LabelSelector: "list=paged",
	})
	if err != nil {
		t.Fatal(err)
	}
	defer watcher.Stop()
	added := 0
	for event := range watcher.ResultChan() {
		if event.Type == watch.Bookmark {
			break
		}
		if event.Type != watch.Added {
			t.Fatalf("an initial event is %v: %v", event.Type, event.Object)
		}
		added++
	}
	list, err := c.Client.CoreV1().ConfigMaps("pages").List(ctx, metav1.ListOptions{LabelSelector: "list=paged"})
	if err != nil {
		t.Fatal(err)
	}
	if added != len(list.Items) {
		t.Fatalf("%d initial events, want %d", added, len(list.Items))
	}
	if took := time.Since(started); took > 10*time.Second {
		t.Fatalf("the initial events took %s", took)
	}
}
