package cluster

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const shopManifest = `
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: settings, namespace: shop}
data: {colour: blue, greeting: "grüß Gott, 世界"}
---
apiVersion: v1
kind: Secret
metadata: {name: password, namespace: shop}
stringData: {password: correct horse battery staple}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec:
  selector: {app: web}
  ports: [{port: 80, targetPort: 8080}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  replicas: 3
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers: [{name: web, image: "web:1"}]
---
apiVersion: coordination.k8s.io/v1
kind: Lease
metadata: {name: till, namespace: shop}
spec: {holderIdentity: cashier-1, leaseDurationSeconds: 15}
`

// resourcesThroughKubectl does with a handful of everyday kinds what people do: apply,
// read, change, conflict, delete.
func resourcesThroughKubectl(ctx context.Context, t *testing.T, c *Cluster) {
	Eventually(t, 30*time.Second, "the manifest is applied", func() error {
		_, err := c.TryKubectl(shopManifest, "apply", "-f", "-")
		return err
	})
	t.Log(c.Kubectl(t, "", "-n", "shop", "rollout", "status", "deployment/web", "--timeout=60s"))
	expectOutput(t, c, "grüß Gott, 世界", "-n", "shop", "get", "configmap", "settings", "-o", "jsonpath={.data.greeting}")
	expectOutput(t, c, "Y29ycmVjdCBob3JzZSBiYXR0ZXJ5IHN0YXBsZQ==", "-n", "shop", "get", "secret", "password", "-o", "jsonpath={.data.password}")
	expectOutput(t, c, "cashier-1", "-n", "shop", "get", "lease", "till", "-o", "jsonpath={.spec.holderIdentity}")

	c.Kubectl(t, strings.ReplaceAll(shopManifest, "colour: blue", "colour: green"), "apply", "-f", "-")
	expectOutput(t, c, "green", "-n", "shop", "get", "configmap", "settings", "-o", "jsonpath={.data.colour}")
	conflictIsRefused(ctx, t, c)

	Eventually(t, 30*time.Second, "the service has its three endpoints", func() error {
		slices, err := c.Client.DiscoveryV1().EndpointSlices("shop").List(ctx, metav1.ListOptions{LabelSelector: "kubernetes.io/service-name=web"})
		if err != nil {
			return err
		}
		endpoints := 0
		for _, slice := range slices.Items {
			endpoints += len(slice.Endpoints)
		}
		return want("endpoints", endpoints, 3)
	})
	t.Log(c.Kubectl(t, "", "-n", "shop", "get", "all,configmaps,secrets,leases,endpointslices"))
	c.Kubectl(t, "", "-n", "shop", "delete", "configmap/settings", "secret/password", "lease/till")
	if output, err := c.TryKubectl("", "-n", "shop", "get", "configmap", "settings"); err == nil {
		t.Fatalf("a deleted config map is still read: %s", output)
	}
}

func expectOutput(t *testing.T, c *Cluster, wanted string, arguments ...string) {
	t.Helper()
	if output := c.Kubectl(t, "", arguments...); output != wanted {
		t.Fatalf("kubectl %s: %q, want %q", strings.Join(arguments, " "), output, wanted)
	}
}

// conflictIsRefused asserts that of two writers who read the same version one loses.
func conflictIsRefused(ctx context.Context, t *testing.T, c *Cluster) {
	t.Helper()
	maps := c.Client.CoreV1().ConfigMaps("shop")
	read, err := maps.Get(ctx, "settings", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	first, second := read.DeepCopy(), read.DeepCopy()
	first.Data["writer"], second.Data["writer"] = "first", "second"
	if _, err := maps.Update(ctx, first, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := maps.Update(ctx, second, metav1.UpdateOptions{}); !apierrors.IsConflict(err) {
		t.Fatalf("the second writer of one version: %v, want a conflict", err)
	}
}

// listsInPages reads many objects page by page while they change. Every page shows the
// state that the first one showed.
func listsInPages(ctx context.Context, t *testing.T, c *Cluster) {
	const count, page = 250, 40
	namespace := "pages"
	if err := createNamespace(ctx, c, namespace); err != nil {
		t.Fatal(err)
	}
	maps := c.Client.CoreV1().ConfigMaps(namespace)
	for i := range count {
		object := &corev1.ConfigMap{
			ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("page-%03d", i), Labels: map[string]string{"list": "paged"}},
			Data:       map[string]string{"text": strings.Repeat("x", 1024)},
		}
		if _, err := maps.Create(ctx, object, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	seen := map[string]bool{}
	options := metav1.ListOptions{Limit: page}
	for pages := 0; ; pages++ {
		list, err := maps.List(ctx, options)
		if err != nil {
			t.Fatalf("page %d: %v", pages, err)
		}
		for _, object := range list.Items {
			seen[object.Name] = true
		}
		if list.Continue == "" {
			break
		}
		options.Continue = list.Continue
		// Gone before its page is read, yet part of the list that was begun.
		if err := maps.Delete(ctx, fmt.Sprintf("page-%03d", count-1-pages), metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	for i := range count {
		if name := fmt.Sprintf("page-%03d", i); !seen[name] {
			t.Errorf("%s is on no page", name)
		}
	}
	lines := strings.Count(c.Kubectl(t, "", "-n", namespace, "get", "configmaps", "-l", "list=paged", "--chunk-size=37", "-o", "name"), "\n")
	if wanted := count - (count+page-1)/page + 1; lines != wanted {
		t.Errorf("kubectl lists %d config maps in chunks of 37, want %d", lines, wanted)
	}
}
