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

func createNamespace(ctx context.Context, c *Cluster, name string) error {
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
	_, err := c.Client.CoreV1().Namespaces().Create(ctx, namespace, metav1.CreateOptions{})
	return err
}

// namespaceGoes deletes two namespaces full of things and looks for what is left of
// them, in the backend itself.
func namespaceGoes(ctx context.Context, t *testing.T, c *Cluster) {
	c.Kubectl(t, "", "delete", "namespace", "shop", "fleet", "--wait=false")
	for _, namespace := range []string{"shop", "fleet"} {
		Eventually(t, 90*time.Second, "namespace "+namespace+" has gone", func() error {
			_, err := c.Client.CoreV1().Namespaces().Get(ctx, namespace, metav1.GetOptions{})
			if err == nil {
				return fmt.Errorf("it is still there")
			}
			if apierrors.IsNotFound(err) {
				return nil
			}
			return err
		})
	}
	keys, err := c.storedKeys(ctx, "/registry/")
	if err != nil {
		t.Fatal(err)
	}
	for key := range keys {
		if strings.Contains(key, "/shop/") || strings.Contains(key, "/fleet/") {
			t.Errorf("%s outlives its namespace", key)
		}
	}
}
