package cluster

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestLedgerSettles shows that the judge of the crash phase sees what it must see and
// accepts what an unknown outcome allows.
func TestLedgerSettles(t *testing.T) {
	object := func(version, value string) corev1.ConfigMap {
		return corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{ResourceVersion: version}, Data: map[string]string{"value": value}}
	}
	for name, example := range map[string]struct {
		known   entry
		objects map[string]corev1.ConfigMap
		counter string
		wrong   int
	}{
		"kept":                    {entry{written, "7"}, map[string]corev1.ConfigMap{"a": object("7", "")}, "5", 0},
		"lost":                    {entry{written, "7"}, nil, "5", 1},
		"another version":         {entry{written, "7"}, map[string]corev1.ConfigMap{"a": object("9", "")}, "5", 1},
		"removed":                 {entry{fate: removed}, nil, "5", 0},
		"back again":              {entry{fate: removed}, map[string]corev1.ConfigMap{"a": object("7", "")}, "5", 1},
		"unknown and there":       {entry{}, map[string]corev1.ConfigMap{"a": object("7", "")}, "5", 0},
		"unknown and not there":   {entry{}, nil, "5", 0},
		"counter in flight":       {entry{}, nil, "6", 0},
		"counter fell back":       {entry{}, nil, "4", 1},
		"counter out of thin air": {entry{}, nil, "7", 1},
	} {
		t.Run(name, func(t *testing.T) {
			ledger := newLedger(0, nil)
			ledger.entries["a"], ledger.counted, ledger.attempted = example.known, 5, 6
			objects := map[string]corev1.ConfigMap{ledger.counter(): object("1", example.counter)}
			for name, object := range example.objects {
				objects[name] = object
			}
			if violations := ledger.settle(objects); len(violations) != example.wrong {
				t.Errorf("%d violations, want %d: %q", len(violations), example.wrong, violations)
			}
		})
	}
}

// TestLedgerVersionsRise shows that a version given twice, as by a backend that forgot
// its newest revisions, is seen.
func TestLedgerVersionsRise(t *testing.T) {
	ledger := newLedger(0, nil)
	for _, version := range []string{"5", "9", "9"} {
		ledger.note("", entry{}, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{ResourceVersion: version}})
	}
	if len(ledger.violations) != 1 {
		t.Errorf("versions 5, 9, 9: %q, want one violation", ledger.violations)
	}
}
