package cluster

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
)

const sailDefinition = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: sails.ship.example.com}
spec:
  group: ship.example.com
  scope: Namespaced
  names: {plural: sails, singular: sail, kind: Sail}
  versions:
  - name: v1
    served: true
    storage: true
    subresources: {status: {}}
    additionalPrinterColumns: [{name: Area, type: integer, jsonPath: .spec.area}]
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec: {type: object, required: [area], properties: {area: {type: integer, minimum: 1}}}
          status: {type: object, properties: {set: {type: boolean}}}
`

const sailCount = 20

var sails = schema.GroupVersionResource{Group: "ship.example.com", Version: "v1", Resource: "sails"}

// customResources defines a kind, fills it, watches it, and takes it away, which must
// take its objects away too.
func customResources(ctx context.Context, t *testing.T, c *Cluster) {
	c.Kubectl(t, sailDefinition, "apply", "-f", "-")
	c.Kubectl(t, "", "wait", "--for=condition=Established", "--timeout=60s", "crd/sails.ship.example.com")
	var manifest strings.Builder
	for i := range sailCount {
		fmt.Fprintf(&manifest, "---\napiVersion: ship.example.com/v1\nkind: Sail\nmetadata: {name: sail-%02d}\nspec: {area: %d}\n", i, i+1)
	}
	Eventually(t, 30*time.Second, "the custom resources are applied", func() error {
		_, err := c.TryKubectl(manifest.String(), "apply", "-f", "-")
		return err
	})
	if output, err := c.TryKubectl("apiVersion: ship.example.com/v1\nkind: Sail\nmetadata: {name: none}\nspec: {area: 0}\n", "apply", "-f", "-"); err == nil {
		t.Fatalf("a custom resource against its schema is accepted: %s", output)
	}
	client := c.Dynamic.Resource(sails).Namespace(metav1.NamespaceDefault)
	list, err := client.List(ctx, metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if len(list.Items) != sailCount {
		t.Fatalf("%d sails, want %d", len(list.Items), sailCount)
	}
	statusIsSeen(ctx, t, c, list.GetResourceVersion())
	t.Log(c.Kubectl(t, "", "get", "sails"))
	c.Kubectl(t, "", "delete", "crd", "sails.ship.example.com", "--timeout=60s")
	Eventually(t, 30*time.Second, "the definition's objects have gone from the store", func() error {
		keys, err := c.storedKeys(ctx, "/registry/ship.example.com/")
		if err != nil {
			return err
		}
		return want("keys", len(keys), 0)
	})
}

func statusIsSeen(ctx context.Context, t *testing.T, c *Cluster, resourceVersion string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	client := c.Dynamic.Resource(sails).Namespace(metav1.NamespaceDefault)
	watcher, err := client.Watch(ctx, metav1.ListOptions{ResourceVersion: resourceVersion})
	if err != nil {
		t.Fatal(err)
	}
	defer watcher.Stop()
	if _, err := client.Patch(ctx, "sail-07", types.MergePatchType, []byte(`{"status":{"set":true}}`), metav1.PatchOptions{}, "status"); err != nil {
		t.Fatal(err)
	}
	event, open := <-watcher.ResultChan()
	if !open || event.Type != watch.Modified {
		t.Fatalf("the watch after a change of status: %v, want MODIFIED", event)
	}
	changed := event.Object.(*unstructured.Unstructured)
	if set, _, _ := unstructured.NestedBool(changed.Object, "status", "set"); changed.GetName() != "sail-07" || !set {
		t.Fatalf("the watch shows %v, want sail-07 with its sail set", changed.Object)
	}
}
