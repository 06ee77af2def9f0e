package cluster

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	fleetPods = 200
	// podsLimit is for 200 pods on two cores that build something else meanwhile.
	podsLimit = 120 * time.Second
)

const fleetManifest = `
apiVersion: v1
kind: Namespace
metadata: {name: fleet}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: ships, namespace: fleet}
spec:
  replicas: %d
  selector: {matchLabels: {app: ships}}
  strategy: {rollingUpdate: {maxSurge: 50%%, maxUnavailable: 25%%}}
  template:
    metadata: {labels: {app: ships}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - name: ship
        image: "ship:1"
        resources: {requests: {cpu: 100m, memory: 64Mi}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: boats, namespace: fleet}
spec:
  replicas: 12
  selector: {matchLabels: {app: boats}}
  template:
    metadata: {labels: {app: boats}}
    spec:
      terminationGracePeriodSeconds: 1
      containers: [{name: boat, image: "boat:1"}]
`

// manyPodsRun has 200 pods made, scheduled, reported running, and counted as available.
func manyPodsRun(ctx context.Context, t *testing.T, c *Cluster) {
	c.Kubectl(t, fmt.Sprintf(fleetManifest, fleetPods), "apply", "-f", "-")
	podsRun(ctx, t, c, "ships", "ship:1", fleetPods)
	podsRun(ctx, t, c, "boats", "boat:1", 12)
}

// podsRun waits until a deployment's pods are exactly as many as wanted, all running
// the image, all on nodes, and until the deployment's own status says so.
func podsRun(ctx context.Context, t *testing.T, c *Cluster, app, image string, count int) {
	t.Helper()
	Eventually(t, podsLimit, fmt.Sprintf("%d pods of %s run %s", count, app, image), func() error {
		pods, err := c.Client.CoreV1().Pods("fleet").List(ctx, metav1.ListOptions{LabelSelector: "app=" + app})
		if err != nil {
			return err
		}
		running := 0
		for _, pod := range pods.Items {
			if pod.DeletionTimestamp == nil && pod.Status.Phase == corev1.PodRunning && pod.Spec.NodeName != "" && pod.Spec.Containers[0].Image == image {
				running++
			}
		}
		if err := want("running pods", running, count); err != nil {
			return err
		}
		return want("pods", len(pods.Items), count)
	})
	Eventually(t, time.Minute, "the deployment's status says so", func() error {
		deployment, err := c.Client.AppsV1().Deployments("fleet").Get(ctx, app, metav1.GetOptions{})
		if err != nil {
			return err
		}
		return want("available replicas", int(deployment.Status.AvailableReplicas), count)
	})
}

// rollingUpdateAndScaling replaces every pod of one deployment and scales the other up
// and down.
func rollingUpdateAndScaling(ctx context.Context, t *testing.T, c *Cluster) {
	c.Kubectl(t, "", "-n", "fleet", "set", "image", "deployment/boats", "boat=boat:2")
	t.Log(c.Kubectl(t, "", "-n", "fleet", "rollout", "status", "deployment/boats", "--timeout=80s"))
	podsRun(ctx, t, c, "boats", "boat:2", 12)
	history := c.Kubectl(t, "", "-n", "fleet", "rollout", "history", "deployment/boats")
	if strings.Count(history, "<none>") != 2 {
		t.Errorf("the rollout history does not show two revisions:\n%s", history)
	}
	c.Kubectl(t, "", "-n", "fleet", "scale", "deployment/ships", "--replicas=60")
	podsRun(ctx, t, c, "ships", "ship:1", 60)
	c.Kubectl(t, "", "-n", "fleet", "scale", "deployment/ships", "--replicas=90")
	podsRun(ctx, t, c, "ships", "ship:1", 90)
}
