package cluster

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	clientv1 "k8s.io/client-go/kubernetes/typed/core/v1"
)

// requestLimit bounds one write; past it the outcome counts as unknown.
const requestLimit = 10 * time.Second

// fate is what a writer knows about an object.
type fate int

const (
	unknown fate = iota // some request about it failed: anything may be true
	written             // its creation was acknowledged
	removed             // its removal was acknowledged
)

// entry is one object of the ledger: what is known of it and, if written, its version.
type entry struct {
	fate    fate
	version string
}

// ledger is what one writer did and what it was told. It creates objects one after
// the other, removes every third, and counts in an object of its own.
type ledger struct {
	writer int
	maps   clientv1.ConfigMapInterface

	lock         sync.Mutex
	entries      map[string]entry
	acknowledged int
	failed       int
	lastVersion  int64
	counted      int // the newest acknowledged value of the counter
	attempted    int // the newest value sent
	violations   []string
}

func newLedger(writer int, maps clientv1.ConfigMapInterface) *ledger {
	return &ledger{writer: writer, maps: maps, entries: map[string]entry{}}
}

// write goes on until ctx ends.
func (l *ledger) write(ctx context.Context) {
	for i := 0; ctx.Err() == nil; i++ {
		l.create(ctx, l.name(i))
		l.count(ctx, i)
		if i%3 == 2 {
			l.remove(ctx, l.name(i-1))
		}
	}
}

func (l *ledger) name(i int) string {
	return fmt.Sprintf("ledger-%d-%05d", l.writer, i)
}

func (l *ledger) counter() string {
	return fmt.Sprintf("counter-%d", l.writer)
}

func (l *ledger) create(ctx context.Context, name string) {
	ctx, cancel := context.WithTimeout(ctx, requestLimit)
	defer cancel()
	l.note(name, entry{}, nil)
	created, err := l.maps.Create(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
	if err != nil {
		l.fail()
		return
	}
	l.note(name, entry{written, created.ResourceVersion}, created)
	// Read your own write, from the store and not a cache.
	if read, err := l.maps.Get(ctx, name, metav1.GetOptions{}); apierrors.IsNotFound(err) {
		l.violated("%s was acknowledged at %s and is not found", name, created.ResourceVersion)
	} else if err == nil && read.ResourceVersion != created.ResourceVersion {
		l.violated("%s was acknowledged at %s and is read at %s", name, created.ResourceVersion, read.ResourceVersion)
	}
}

func (l *ledger) remove(ctx context.Context, name string) {
	ctx, cancel := context.WithTimeout(ctx, requestLimit)
	defer cancel()
	l.lock.Lock()
	wasWritten := l.entries[name].fate == written
	l.lock.Unlock()
	if !wasWritten {
		return
	}
	l.note(name, entry{}, nil)
	err := l.maps.Delete(ctx, name, metav1.DeleteOptions{})
	switch {
	case err == nil:
		l.note(name, entry{fate: removed}, nil)
	case apierrors.IsNotFound(err):
		l.violated("%s was acknowledged and is not found when it is removed", name)
	default:
		l.fail()
	}
}

func (l *ledger) count(ctx context.Context, value int) {
	ctx, cancel := context.WithTimeout(ctx, requestLimit)
	defer cancel()
	l.lock.Lock()
	l.attempted = value
	l.lock.Unlock()
	patch := fmt.Appendf(nil, `{"data":{"value":"%d"}}`, value)
	changed, err := l.maps.Patch(ctx, l.counter(), types.MergePatchType, patch, metav1.PatchOptions{})
	if err != nil {
		l.fail()
		return
	}
	l.note("", entry{}, changed)
	l.lock.Lock()
	l.counted = value
	l.lock.Unlock()
}

// note records what is known of a name ("" for none). An acknowledged object also
// shows a version, which may only rise from one write of this writer to the next.
func (l *ledger) note(name string, known entry, acknowledged *corev1.ConfigMap) {
	l.lock.Lock()
	defer l.lock.Unlock()
	if name != "" {
		l.entries[name] = known
	}
	if known.fate == removed {
		l.acknowledged++
	}
	if acknowledged == nil {
		return
	}
	l.acknowledged++
	version, err := strconv.ParseInt(acknowledged.ResourceVersion, 10, 64)
	if err != nil || version <= l.lastVersion {
		l.violations = append(l.violations, fmt.Sprintf("%s was acknowledged at version %s after %d", acknowledged.Name, acknowledged.ResourceVersion, l.lastVersion))
	}
	l.lastVersion = version
}

func (l *ledger) fail() {
	l.lock.Lock()
	defer l.lock.Unlock()
	l.failed++
}

func (l *ledger) violated(format string, arguments ...any) {
	l.lock.Lock()
	defer l.lock.Unlock()
	l.violations = append(l.violations, fmt.Sprintf(format, arguments...))
}

func (l *ledger) acknowledgedSoFar() int {
	l.lock.Lock()
	defer l.lock.Unlock()
	return l.acknowledged
}

// settle compares what the writer was told with the objects that are there, after it
// has ended, and returns every contradiction.
func (l *ledger) settle(objects map[string]corev1.ConfigMap) []string {
	violations := l.violations
	for name, known := range l.entries {
		object, exists := objects[name]
		switch {
		case known.fate == written && !exists:
			violations = append(violations, fmt.Sprintf("%s was acknowledged at %s and is lost", name, known.version))
		case known.fate == written && object.ResourceVersion != known.version:
			violations = append(violations, fmt.Sprintf("%s was acknowledged at %s and is at %s", name, known.version, object.ResourceVersion))
		case known.fate == removed && exists:
			violations = append(violations, fmt.Sprintf("%s was removed and is back at %s", name, object.ResourceVersion))
		}
	}
	value, err := strconv.Atoi(objects[l.counter()].Data["value"])
	if err != nil || value < l.counted || value > l.attempted {
		violations = append(violations, fmt.Sprintf("%s is %q, acknowledged %d, sent %d", l.counter(), objects[l.counter()].Data["value"], l.counted, l.attempted))
	}
	return violations
}
