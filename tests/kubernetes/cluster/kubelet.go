package cluster

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/ptr"
)

const (
	heartbeatPeriod = 10 * time.Second
	leaseSeconds    = 40
	kubeletWorkers  = 4
	podsPerNode     = 110
)

// Kubelets pretend to be the kubelets of some nodes: they report the nodes ready, renew
// their leases, say of every pod bound to a node that it runs, and remove pods that are
// being deleted.
type Kubelets struct {
	client kubernetes.Interface
	queue  workqueue.TypedRateLimitingInterface[types.NamespacedName]
	pods   cache.SharedIndexInformer
	// nodes are the names of the nodes that are kept alive.
	nodes []string
	wait  sync.WaitGroup
}

// StartKubelets registers count nodes and keeps them and their pods until ctx ends.
func StartKubelets(ctx context.Context, client kubernetes.Interface, count int) (*Kubelets, error) {
	kubelets := &Kubelets{
		client: client,
		queue:  workqueue.NewTypedRateLimitingQueue(workqueue.DefaultTypedControllerRateLimiter[types.NamespacedName]()),
	}
	for i := range count {
		name := fmt.Sprintf("node-%02d", i)
		if err := kubelets.register(ctx, name); err != nil {
			return nil, err
		}
		kubelets.nodes = append(kubelets.nodes, name)
	}
	if err := kubelets.watchPods(ctx); err != nil {
		return nil, err
	}
	for range kubeletWorkers {
		kubelets.wait.Go(func() { kubelets.work(ctx) })
	}
	kubelets.wait.Go(func() { kubelets.beat(ctx) })
	return kubelets, nil
}

// Wait returns when everything has ended after the end of the context.
func (k *Kubelets) Wait() {
	k.wait.Wait()
}

func (k *Kubelets) register(ctx context.Context, name string) error {
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{
		Name:   name,
		Labels: map[string]string{corev1.LabelHostname: name, corev1.LabelOSStable: "linux"},
	}}
	created, err := k.client.CoreV1().Nodes().Create(ctx, node, metav1.CreateOptions{})
	if err != nil {
		return err
	}
	capacity := corev1.ResourceList{
		corev1.ResourceCPU:    resource.MustParse("32"),
		corev1.ResourceMemory: resource.MustParse("64Gi"),
		corev1.ResourcePods:   *resource.NewQuantity(podsPerNode, resource.DecimalSI),
	}
	created.Status.Capacity, created.Status.Allocatable = capacity, capacity
	created.Status.Conditions = []corev1.NodeCondition{{
		Type: corev1.NodeReady, Status: corev1.ConditionTrue, Reason: "KubeletReady",
		LastHeartbeatTime: metav1.Now(), LastTransitionTime: metav1.Now(),
	}}
	if _, err = k.client.CoreV1().Nodes().UpdateStatus(ctx, created, metav1.UpdateOptions{}); err != nil {
		return err
	}
	lease := &coordinationv1.Lease{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: corev1.NamespaceNodeLease},
		Spec: coordinationv1.LeaseSpec{
			HolderIdentity:       ptr.To(name),
			LeaseDurationSeconds: ptr.To[int32](leaseSeconds),
			RenewTime:            ptr.To(metav1.NowMicro()),
		},
	}
	_, err = k.client.CoordinationV1().Leases(corev1.NamespaceNodeLease).Create(ctx, lease, metav1.CreateOptions{})
	return err
}

// beat lets every node say that it lives; what fails is made up for by the next time.
func (k *Kubelets) beat(ctx context.Context) {
	ticker := time.NewTicker(heartbeatPeriod)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		var beaten sync.WaitGroup
		limited, cancel := context.WithTimeout(ctx, heartbeatPeriod)
		for _, name := range k.nodes {
			beaten.Go(func() { k.beatOf(limited, name) })
		}
		beaten.Wait()
		cancel()
	}
}

// beatOf renews the node's lease and, if it was taken for dead meanwhile, says that it is ready.
func (k *Kubelets) beatOf(ctx context.Context, name string) {
	now := time.Now().UTC()
	renewal := fmt.Appendf(nil, `{"spec":{"renewTime":%q}}`, now.Format("2006-01-02T15:04:05.000000Z"))
	_, _ = k.client.CoordinationV1().Leases(corev1.NamespaceNodeLease).Patch(ctx, name, types.MergePatchType, renewal, metav1.PatchOptions{})
	node, err := k.client.CoreV1().Nodes().Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return
	}
	for i := range node.Status.Conditions {
		condition := &node.Status.Conditions[i]
		if condition.Type == corev1.NodeReady && condition.Status != corev1.ConditionTrue {
			condition.Status, condition.Reason, condition.Message = corev1.ConditionTrue, "KubeletReady", ""
			condition.LastHeartbeatTime, condition.LastTransitionTime = metav1.NewTime(now), metav1.NewTime(now)
			_, _ = k.client.CoreV1().Nodes().UpdateStatus(ctx, node, metav1.UpdateOptions{})
		}
	}
}

func (k *Kubelets) watchPods(ctx context.Context) error {
	bound := func(options *metav1.ListOptions) {
		options.FieldSelector = fields.OneTermNotEqualSelector("spec.nodeName", "").String()
	}
	factory := informers.NewSharedInformerFactoryWithOptions(k.client, 0, informers.WithTweakListOptions(bound))
	k.pods = factory.Core().V1().Pods().Informer()
	_, err := k.pods.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    k.enqueue,
		UpdateFunc: func(_, pod any) { k.enqueue(pod) },
	})
	if err != nil {
		return err
	}
	factory.StartWithContext(ctx)
	if !cache.WaitForCacheSync(ctx.Done(), k.pods.HasSynced) {
		return fmt.Errorf("the kubelets' pods did not arrive")
	}
	context.AfterFunc(ctx, k.queue.ShutDown)
	return nil
}

func (k *Kubelets) enqueue(object any) {
	pod := object.(*corev1.Pod)
	k.queue.Add(types.NamespacedName{Namespace: pod.Namespace, Name: pod.Name})
}

func (k *Kubelets) work(ctx context.Context) {
	for {
		key, shutdown := k.queue.Get()
		if shutdown {
			return
		}
		if err := k.sync(ctx, key); err != nil {
			k.queue.AddRateLimited(key)
		} else {
			k.queue.Forget(key)
		}
		k.queue.Done(key)
	}
}

// sync makes the pod's status what a kubelet would say of the pod as it is now.
func (k *Kubelets) sync(ctx context.Context, key types.NamespacedName) error {
	object, exists, err := k.pods.GetStore().GetByKey(key.String())
	if err != nil || !exists {
		return err
	}
	pod := object.(*corev1.Pod)
	switch {
	case pod.DeletionTimestamp != nil:
		now := metav1.DeleteOptions{GracePeriodSeconds: ptr.To[int64](0), Preconditions: metav1.NewUIDPreconditions(string(pod.UID))}
		err = k.client.CoreV1().Pods(key.Namespace).Delete(ctx, key.Name, now)
	case pod.Status.Phase == corev1.PodPending || !ready(pod):
		_, err = k.client.CoreV1().Pods(key.Namespace).UpdateStatus(ctx, running(pod), metav1.UpdateOptions{})
	}
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

// ready says whether the pod counts as ready. Of a node that is taken for dead no pod does,
// until its kubelet says so again.
func ready(pod *corev1.Pod) bool {
	return slices.ContainsFunc(pod.Status.Conditions, func(condition corev1.PodCondition) bool {
		return condition.Type == corev1.PodReady && condition.Status == corev1.ConditionTrue
	})
}

func running(pod *corev1.Pod) *corev1.Pod {
	pod = pod.DeepCopy()
	now := metav1.Now()
	pod.Status.Phase = corev1.PodRunning
	pod.Status.StartTime = &now
	pod.Status.PodIP = addressFor(pod.UID)
	pod.Status.PodIPs = []corev1.PodIP{{IP: pod.Status.PodIP}}
	reported := []corev1.PodConditionType{corev1.PodInitialized, corev1.ContainersReady, corev1.PodReady}
	pod.Status.Conditions = slices.DeleteFunc(pod.Status.Conditions, func(condition corev1.PodCondition) bool {
		return slices.Contains(reported, condition.Type)
	})
	for _, condition := range reported {
		pod.Status.Conditions = append(pod.Status.Conditions, corev1.PodCondition{
			Type: condition, Status: corev1.ConditionTrue, LastTransitionTime: now,
		})
	}
	pod.Status.ContainerStatuses = nil
	for _, container := range pod.Spec.Containers {
		pod.Status.ContainerStatuses = append(pod.Status.ContainerStatuses, corev1.ContainerStatus{
			Name: container.Name, Image: container.Image, Ready: true, Started: ptr.To(true),
			State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: now}},
		})
	}
	return pod
}

// addressFor is an address of the pods' network that looks like the pod's own.
func addressFor(uid types.UID) string {
	var sum uint32
	for _, letter := range []byte(uid) {
		sum = sum*31 + uint32(letter)
	}
	return fmt.Sprintf("10.%d.%d.%d", 128+sum>>16%128, sum>>8%256, 1+sum%254)
}
