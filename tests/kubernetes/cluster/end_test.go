package cluster

import (
	"context"
	"maps"
	"os"
	"strings"
	"testing"
	"time"
)

// alarms are what no component may ever have said.
var alarms = []string{
	"panic:",
	"Observed a panic",
	"fatal error:",
	"Cache consistency check failed",
	"etcd event received with PrevKv=nil",
	"DATA RACE",
}

// everythingEnds asks every process to end, in the order of an orderly shutdown, and
// looks through their logs; the backend must then hold what it held.
func everythingEnds(t *testing.T, c *Cluster) {
	for _, component := range c.Components {
		if !component.Running() {
			continue // the second API server has ended already
		}
		started := time.Now()
		if err := component.Terminate(endLimit); err != nil {
			t.Error(err)
		}
		t.Logf("%s ended after %.1f s, having used %.1f s of CPU", component.Name, time.Since(started).Seconds(), component.Usage().Seconds())
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	before := mustHold(ctx, t, c)
	for _, member := range c.Backend.Members {
		if err := member.Process.Terminate(endLimit); err != nil {
			t.Error(err)
		}
		t.Logf("%s used %.1f s of CPU since it was started last", member.Name, member.Process.Usage().Seconds())
	}
	if err := c.Backend.Restart(); err != nil {
		t.Fatal(err)
	}
	if after := mustHold(ctx, t, c); !maps.Equal(before, after) {
		t.Errorf("the backend held %d keys before an orderly restart and holds others, %d, after it", len(before), len(after))
	}
	for _, component := range c.Components {
		logIsCalm(t, component.LogPath)
	}
	for _, member := range c.Backend.Members {
		logIsCalm(t, member.Process.LogPath)
	}
}

func mustHold(ctx context.Context, t *testing.T, c *Cluster) map[string]int64 {
	t.Helper()
	keys, err := c.storedKeys(ctx, "/registry/")
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

func logIsCalm(t *testing.T, path string) {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(content)) {
		for _, alarm := range alarms {
			if strings.Contains(line, alarm) {
				t.Errorf("%s: %s", path, line)
			}
		}
	}
}
