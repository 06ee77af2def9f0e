package cluster

import (
	"context"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// controlPlaneIsUp waits for what the controllers make of an empty cluster: service
// accounts, the CA's config map, leaders, and nodes without the taint of a new one.
func controlPlaneIsUp(ctx context.Context, t *testing.T, c *Cluster) {
	Eventually(t, time.Minute, "the default service account is there", func() error {
		_, err := c.Client.CoreV1().ServiceAccounts(metav1.NamespaceDefault).Get(ctx, "default", metav1.GetOptions{})
		return err
	})
	Eventually(t, time.Minute, "both leaders hold their leases", func() error {
		for _, name := range []string{"kube-controller-manager", "kube-scheduler"} {
			if _, err := c.Client.CoordinationV1().Leases(metav1.NamespaceSystem).Get(ctx, name, metav1.GetOptions{}); err != nil {
				return err
			}
		}
		return nil
	})
	Eventually(t, time.Minute, "all nodes take pods", func() error {
		nodes, err := c.Client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		return want("untainted nodes", untainted(nodes.Items), nodeCount)
	})
	t.Log(c.Kubectl(t, "", "version"))
	t.Log(c.Kubectl(t, "", "get", "nodes"))
}

func untainted(nodes []corev1.Node) int {
	count := 0
	for _, node := range nodes {
		if len(node.Spec.Taints) == 0 {
			count++
		}
	}
	return count
}
