package cluster

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"

	"taffrail.test/kubernetes/backend"
	"taffrail.test/kubernetes/process"
)

const endLimit = 90 * time.Second

// serverWithoutWatchCache runs a second API server on the same backend whose lists and
// watches all go to the backend itself. It must see what the first writes, and the
// first what it writes.
func serverWithoutWatchCache(ctx context.Context, t *testing.T, c *Cluster) {
	server, client := startUncached(t, c)
	list, err := client.CoreV1().ConfigMaps("pages").List(ctx, metav1.ListOptions{Limit: 7})
	if err != nil {
		t.Fatal(err)
	}
	if len(list.Items) != 7 || list.Continue == "" || list.RemainingItemCount == nil {
		t.Fatalf("a page of 7 has %d items, continues at %q, remaining %v", len(list.Items), list.Continue, list.RemainingItemCount)
	}
	watcher, err := client.CoreV1().ConfigMaps("watched").Watch(ctx, metav1.ListOptions{
		ResourceVersion: list.ResourceVersion, FieldSelector: "metadata.name=across",
	})
	if err != nil {
		t.Fatal(err)
	}
	defer watcher.Stop()
	across(ctx, t, c.Client, client, watcher)
	watcher.Stop()
	if err := server.Terminate(endLimit); err != nil {
		t.Error(err)
	}
}

func startUncached(t *testing.T, c *Cluster) (*process.Process, kubernetes.Interface) {
	t.Helper()
	address, err := backend.FreeAddress()
	if err != nil {
		t.Fatal(err)
	}
	server, err := c.runAPIServer("kube-apiserver-uncached", address, "--watch-cache=false", "--shutdown-delay-duration=0s")
	if err != nil {
		t.Fatal(err)
	}
	kubeconfig, err := c.writeKubeconfig("uncached", "admin", address, "system:masters")
	if err != nil {
		t.Fatal(err)
	}
	config, err := clientConfig(kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.untilReady(server, client); err != nil {
		t.Fatal(err)
	}
	return server, client
}

// across writes through one server and expects to see it through the other.
func across(ctx context.Context, t *testing.T, cached, uncached kubernetes.Interface, watcher watch.Interface) {
	t.Helper()
	object := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "across"}}
	created, err := cached.CoreV1().ConfigMaps("watched").Create(ctx, object, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	created.Data = map[string]string{"by": "the other"}
	updated, err := uncached.CoreV1().ConfigMaps("watched").Update(ctx, created, metav1.UpdateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	read, err := cached.CoreV1().ConfigMaps("watched").List(ctx, metav1.ListOptions{FieldSelector: "metadata.name=across"})
	if err != nil {
		t.Fatal(err)
	}
	if len(read.Items) != 1 || read.Items[0].ResourceVersion != updated.ResourceVersion {
		t.Fatalf("the cached server lists %v, want version %s", read.Items, updated.ResourceVersion)
	}
	if err := cached.CoreV1().ConfigMaps("watched").Delete(ctx, "across", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, wanted := range []watch.EventType{watch.Added, watch.Modified, watch.Deleted} {
		select {
		case event := <-watcher.ResultChan():
			if event.Type != wanted {
				t.Fatalf("the uncached watch shows %v, want %v", event, wanted)
			}
		case <-time.After(20 * time.Second):
			t.Fatalf("the uncached watch shows no %v", wanted)
		}
	}
}

// cachesEqualTheStore compares, kind by kind, what the API server lists from its
// caches with the keys and revisions in the backend.
func cachesEqualTheStore(ctx context.Context, t *testing.T, c *Cluster) {
	kinds := map[string]func() ([]string, error){
		"/registry/configmaps/": func() ([]string, error) {
			list, err := c.Client.CoreV1().ConfigMaps("").List(ctx, metav1.ListOptions{})
			return versions("/registry/configmaps/", list.Items, err)
		},
		"/registry/pods/": func() ([]string, error) {
			list, err := c.Client.CoreV1().Pods("").List(ctx, metav1.ListOptions{})
			return versions("/registry/pods/", list.Items, err)
		},
		"/registry/serviceaccounts/": func() ([]string, error) {
			list, err := c.Client.CoreV1().ServiceAccounts("").List(ctx, metav1.ListOptions{})
			return versions("/registry/serviceaccounts/", list.Items, err)
		},
		"/registry/secrets/": func() ([]string, error) {
			list, err := c.Client.CoreV1().Secrets("").List(ctx, metav1.ListOptions{})
			return versions("/registry/secrets/", list.Items, err)
		},
	}
	for prefix, list := range kinds {
		Eventually(t, 20*time.Second, "the list of "+prefix+" equals the store", func() error {
			listed, err := list()
			if err != nil {
				return err
			}
			return c.storeHolds(ctx, prefix, listed)
		})
	}
}

func (c *Cluster) storeHolds(ctx context.Context, prefix string, listed []string) error {
	keys, err := c.storedKeys(ctx, prefix)
	if err != nil {
		return err
	}
	for _, entry := range listed {
		key, version, _ := strings.Cut(entry, "@")
		if stored := fmt.Sprint(keys[key]); stored != version {
			return fmt.Errorf("%s is listed at %s and stored at %s", key, version, stored)
		}
	}
	return want("keys", len(keys), len(listed))
}

// versions are key@revision of listed objects.
func versions[T any, P interface {
	*T
	metav1.Object
}](prefix string, items []T, err error) ([]string, error) {
	var all []string
	for i := range items {
		object := P(&items[i])
		all = append(all, fmt.Sprintf("%s%s/%s@%s", prefix, object.GetNamespace(), object.GetName(), object.GetResourceVersion()))
	}
	return all, err
}
