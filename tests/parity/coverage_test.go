package parity

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"testing"
)

// checklist is how many lines each section of the list of etcd's behaviours has. The
// sections: A0 revisions and headers, A1 Range, A2 RangeStream, A3 Put and DeleteRange,
// A4 Txn, A5 Compact, A6 Watch, A7 Lease, A8 Maintenance, A9 Cluster, A10 Auth, A11 Lock
// and Election, A12 errors of the cluster, A13 limits, A14 HTTP, A15 TLS and settings,
// A16 metrics, A17 what Kubernetes uses.
var checklist = []int{0: 12, 1: 13, 2: 3, 3: 7, 4: 13, 5: 5, 6: 18, 7: 9, 8: 8, 9: 3, 10: 2, 11: 3, 12: 5, 13: 4, 14: 6, 15: 7, 16: 3, 17: 4}

// exceptions are the lines without a script, and why.
var exceptions = map[string]string{
	"A5.5":  "needs auth switched on, which Taffrail does not have",
	"A6.17": "needs auth switched on, which Taffrail does not have",
	"A10.2": "needs auth switched on, which Taffrail does not have",
}

// exceptionsAlone are further ones when the servers are alone.
var exceptionsAlone = map[string]string{
	"A9.3": "needs a learner: a second member",
}

// partly are the parts of covered lines that scripts cannot show.
var partly = map[string]string{
	"A6.5":  "the watcher that falls behind a compaction depends on time; kept to watches that start too early",
	"A12.1": "errors about a leader that has just changed depend on time; kept to a leader that is lost",
}

// partlyAlone are the parts that servers which are alone cannot show; TestSeveral does.
var partlyAlone = map[string]string{
	"A1.10": "serializable reads and others without a leader need several members",
	"A6.16": "losing the leader needs several members",
	"A8.1":  "an error about the leader needs several members",
	"A8.6":  "a successful move needs several members",
	"A9.2":  "adding members succeeds only in a cluster that can grow",
	"A12.1": "most errors of the cluster (leader lost, timeouts) need several members",
}

// allScripts are the scripts of every section.
var allScripts = [][]Script{revisionScripts, rangeScripts, streamScripts, putScripts, txnScripts, compactScripts,
	watchScripts, watchOrderScripts, leaseScripts, maintenanceScripts, clusterScripts, authScripts, lockScripts,
	errorScripts, limitScripts, httpScripts, gatewayScripts, tlsScripts, metricsScripts, kubernetesScripts}

var allDivergences = [][]Divergence{leaseDivergences, authDivergences, quotaDivergences, watchDivergences, txnDivergences,
	maintenanceDivergences}

// scriptsOfSeveral and divergencesOfSeveral come on top of them when there are several members.
var (
	scriptsOfSeveral     = [][]Script{severalScripts, leaderlessScripts, leaderlessCallScripts}
	divergencesOfSeveral = [][]Divergence{severalDivergences, leaderlessDivergences, leaderlessCallDivergences}
)

var scriptName = regexp.MustCompile(`^(A\d+\.\d+)[a-z]?_[a-z0-9_]+$`)

// TestChecklist fails when a line has neither a script nor a reason.
func TestChecklist(t *testing.T) {
	covered := coveredLines(t)
	excepted, parts := maps.Clone(exceptions), maps.Clone(partly)
	if !severalMembers() {
		maps.Copy(excepted, exceptionsAlone)
		maps.Copy(parts, partlyAlone)
	}
	for section, lines := range checklist {
		for line := 1; line <= lines; line++ {
			id := fmt.Sprintf("A%d.%d", section, line)
			reason, listed := excepted[id]
			switch {
			case covered[id] && listed:
				t.Errorf("%s has a script and still an exception: %s", id, reason)
			case !covered[id] && !listed:
				t.Errorf("%s has no script", id)
			case listed:
				t.Logf("%s has no script: %s", id, reason)
			}
			delete(covered, id)
		}
	}
	for id := range covered {
		t.Errorf("%s is not in the checklist", id)
	}
	for id, reason := range parts {
		t.Logf("%s only in part: %s", id, reason)
	}
}

// TestUnfit fails when an excluded script does not exist (any more).
func TestUnfit(t *testing.T) {
	known := map[string]bool{}
	for _, scripts := range append(allScripts, etcdctlScripts, concurrencyScripts) {
		for _, script := range scripts {
			known[script.Name] = true
		}
	}
	for _, divergences := range append(allDivergences, etcdctlDivergences) {
		for _, divergence := range divergences {
			known[divergence.Name] = true
		}
	}
	for _, excluded := range []map[string]string{unfit, unfitForFollowers} {
		for name, reason := range excluded {
			if !known[name] {
				t.Errorf("there is no script %q to exclude (%s)", name, reason)
			}
		}
	}
}

// coveredLines checks the names on the way: each is used once and says its line.
func coveredLines(t *testing.T) map[string]bool {
	scripts, divergences := slices.Concat(allScripts...), slices.Concat(allDivergences...)
	if severalMembers() {
		scripts = append(scripts, slices.Concat(scriptsOfSeveral...)...)
		divergences = append(divergences, slices.Concat(divergencesOfSeveral...)...)
	}
	var names []string
	for _, script := range scripts {
		names = append(names, script.Name)
	}
	for _, divergence := range divergences {
		names = append(names, divergence.Name)
	}
	covered, seen := map[string]bool{}, map[string]bool{}
	for _, name := range names {
		match := scriptName.FindStringSubmatch(name)
		if match == nil || seen[name] {
			t.Errorf("%q is no name for a script, or used twice", name)
			continue
		}
		seen[name], covered[match[1]] = true, true
	}
	return covered
}
