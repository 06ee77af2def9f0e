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

const (
	eventCount = 50
	// expiryLag is how late events may go: 5 % of their time-to-live, the reuse of a
	// lease by that long, the backend's own tick, and two busy cores.
	expiryLag = 15 * time.Second
)

// eventLife follows events, which live by leases of the backend, from their writing to
// their expiry. Other phases run in between.
type eventLife struct {
	written time.Time
}

func (e *eventLife) begin(ctx context.Context, t *testing.T, c *Cluster) {
	writeEvents(ctx, t, c, "ShortLived")
	e.written = time.Now()
	if alive := eventsAlive(ctx, t, c, "ShortLived"); alive != eventCount {
		t.Fatalf("%d events right after writing %d", alive, eventCount)
	}
	// An update moves a key to a new lease: this event outlives its first one.
	time.Sleep(eventTTL / 2)
	renewed, err := c.Client.CoreV1().Events(metav1.NamespaceDefault).Get(ctx, eventName("ShortLived", 0), metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	renewed.Count++
	if _, err := c.Client.CoreV1().Events(metav1.NamespaceDefault).Update(ctx, renewed, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	updated := time.Now()
	time.Sleep(time.Until(e.written.Add(eventTTL - 2*time.Second)))
	if alive := eventsAlive(ctx, t, c, "ShortLived"); alive != eventCount {
		t.Fatalf("%d of %d events are alive 2 s before their time", alive, eventCount)
	}
	e.followRenewed(ctx, t, c, updated)
}

// followRenewed asserts that the updated event is alive when the lease it had at first
// is long gone, with all the others.
func (e *eventLife) followRenewed(ctx context.Context, t *testing.T, c *Cluster, updated time.Time) {
	Eventually(t, time.Until(e.written.Add(eventTTL+expiryLag)), "the events that were not updated have gone", func() error {
		return want("events alive", eventsAlive(ctx, t, c, "ShortLived"), 1)
	})
	if lived := time.Since(updated); lived > eventTTL {
		t.Logf("too late to tell whether the updated event outlived the others: %.1f s after its update", lived.Seconds())
	} else if _, err := c.Client.CoreV1().Events(metav1.NamespaceDefault).Get(ctx, eventName("ShortLived", 0), metav1.GetOptions{}); err != nil {
		t.Fatalf("the updated event went with its first lease: %v", err)
	}
}

// expire asserts that nothing is left, not even what controllers wrote at the start.
func (e *eventLife) expire(ctx context.Context, t *testing.T, c *Cluster) {
	Eventually(t, time.Until(e.written.Add(2*(eventTTL+expiryLag))), "the updated event has gone too", func() error {
		_, err := c.Client.CoreV1().Events(metav1.NamespaceDefault).Get(ctx, eventName("ShortLived", 0), metav1.GetOptions{})
		if err == nil {
			return fmt.Errorf("it is still there")
		}
		if apierrors.IsNotFound(err) {
			return nil
		}
		return err
	})
	Eventually(t, expiryLag, "no event is older than its time-to-live", func() error {
		events, err := c.Client.CoreV1().Events(metav1.NamespaceAll).List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		for _, event := range events.Items {
			// An event's series is updated, which renews its lease: only single ones tell.
			if age := time.Since(event.CreationTimestamp.Time); event.Count <= 1 && event.Series == nil && age > eventTTL+expiryLag {
				return fmt.Errorf("%s/%s lives for %s", event.Namespace, event.Name, age)
			}
		}
		return nil
	})
}

// writeEvents writes eventCount events that tell themselves apart by their reason.
func writeEvents(ctx context.Context, t *testing.T, c *Cluster, reason string) {
	t.Helper()
	for i := range eventCount {
		event := &corev1.Event{
			ObjectMeta:     metav1.ObjectMeta{Name: eventName(reason, i), Namespace: metav1.NamespaceDefault},
			InvolvedObject: corev1.ObjectReference{Kind: "Namespace", Name: metav1.NamespaceDefault, Namespace: metav1.NamespaceDefault},
			Reason:         reason, Type: corev1.EventTypeNormal, Message: "goes by itself",
			FirstTimestamp: metav1.Now(), LastTimestamp: metav1.Now(), Count: 1,
		}
		if _, err := c.Client.CoreV1().Events(metav1.NamespaceDefault).Create(ctx, event, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
}

func eventName(reason string, i int) string {
	return fmt.Sprintf("%s-%02d", strings.ToLower(reason), i)
}

func eventsAlive(ctx context.Context, t *testing.T, c *Cluster, reason string) int {
	t.Helper()
	events, err := c.Client.CoreV1().Events(metav1.NamespaceDefault).List(ctx, metav1.ListOptions{FieldSelector: "reason=" + reason})
	if err != nil {
		t.Fatal(err)
	}
	return len(events.Items)
}
