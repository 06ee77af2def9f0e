package parity

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

// TestEtcdctl uses etcdctl whole.
func TestEtcdctl(t *testing.T) { runSection(t, etcdctlScripts, etcdctlDivergences...) }

var etcdctlScripts = []Script{
	{Name: "ctl_keys", Run: func(_ context.Context, s *Session) {
		for i, key := range []string{"a", "b", "c", "d"} {
			s.Ctl("put", key, fmt.Sprint(i))
		}
		s.Ctl("put", "a", "again", "--prev-kv")
		s.Ctl("put", "a", "--ignore-value")
		s.Ctl("put", "missing", "--ignore-value")
		s.Ctl("put", "a", "1", "--lease", "99")
		s.Ctl("get", "a")
		s.Ctl("get", "a", "--print-value-only")
		s.Ctl("get", "", "--prefix", "--keys-only")
		s.Ctl("get", "a", "c")
		s.Ctl("get", "b", "--from-key", "--limit", "2", "-w", "json")
		s.Ctl("get", "", "--prefix", "--count-only", "-w", "fields")
		s.Ctl("get", "a", "--rev", "2", "-w", "json")
		s.Ctl("get", "a", "--rev", "99")
		s.Ctl("get", "", "--prefix", "--order", "DESCEND", "--sort-by", "MODIFY")
		s.Ctl("del", "a", "--prev-kv")
		s.Ctl("del", "b", "d")
		s.Ctl("del", "missing")
		s.Ctl("put", "", "empty key")
	}},
	{Name: "ctl_txn", Run: func(_ context.Context, s *Session) {
		s.Ctl("put", "a", "1")
		s.CtlInput("value(\"a\") = \"1\"\n\nput a 2\nget a\n\nget a\n\n", "txn")
		s.CtlInput("mod(\"a\") > \"99\"\n\nput a 3\n\nget a\ndel a\n\n", "txn", "-w", "json")
		s.CtlInput("ver(\"a\") = \"0\"\ncreate(\"a\") = \"0\"\n\n\n\n\n", "txn")
	}},
	{Name: "ctl_watch", Run: func(_ context.Context, s *Session) {
		s.Ctl("put", "a", "1")
		s.Ctl("put", "a", "2")
		s.Ctl("del", "a")
		s.CtlLines(8, func() {}, "watch", "a", "--rev", "2")
		s.CtlLines(11, func() {}, "watch", "a", "--rev", "2", "--prev-kv")
		s.Ctl("compaction", "3")
		s.CtlLines(1, func() {}, "watch", "a", "--rev", "2")
	}},
	{Name: "ctl_lease", Run: func(_ context.Context, s *Session) {
		granted := strings.Fields(s.Ctl("lease", "grant", "1000"))
		if len(granted) < 2 {
			s.Fail("no lease: %q", granted)
		}
		id := granted[1]
		s.Ctl("put", "a", "1", "--lease", id)
		s.Ctl("lease", "list")
		s.Ctl("lease", "timetolive", id, "--keys")
		s.Ctl("lease", "keep-alive", id, "--once")
		s.Ctl("lease", "revoke", id)
		s.Ctl("lease", "revoke", id)
		s.Ctl("lease", "timetolive", id)
		s.Ctl("lease", "keep-alive", id, "--once")
		s.Ctl("get", "a")
	}},
	{Name: "ctl_lock_and_elect", Run: func(ctx context.Context, s *Session) {
		s.Ctl("lock", "mutex", "echo", "inside")
		s.Ctl("lock", "mutex", "--ttl", "30", "sh", "--", "-c", "exit 7")
		s.awaitCount(ctx, "mutex", 0)
		s.Ctl("get", "", "--prefix", "--count-only", "-w", "fields")
		s.CtlLines(0, func() { s.nameElected(ctx) }, "elect", "office", "me")
		s.CtlLines(1, func() {}, "elect", "--listen", "office", "-w", "simple")
	}},
	{Name: "ctl_members_and_endpoints", Run: func(_ context.Context, s *Session) {
		s.Ctl("put", "a", "1")
		s.Ctl("member", "list")
		s.Ctl("member", "list", "-w", "json")
		s.Ctl("endpoint", "health")
		s.Ctl("endpoint", "health", "-w", "json")
		s.Ctl("endpoint", "status", "-w", "json")
		s.Ctl("endpoint", "hashkv", "-w", "json")
		s.Ctl("endpoint", "hashkv", "--rev", "99")
		s.Ctl("endpoint", "status", "--cluster", "-w", "json")
		s.Ctl("move-leader", "12345")
		s.Ctl("member", "remove", "12345")
		s.Ctl("version")
	}},
	{Name: "ctl_member_list_fields", Run: func(_ context.Context, s *Session) {
		s.Ctl("member", "list", "-w", "fields")
	}},
	{Name: "ctl_maintenance", Run: func(_ context.Context, s *Session) {
		s.Fill("k", 20)
		s.Ctl("compaction", "5")
		s.Ctl("compaction", "10", "--physical")
		s.Ctl("compaction", "10")
		s.Ctl("compaction", "99")
		s.Ctl("defrag")
		s.Ctl("alarm", "list")
		s.Ctl("alarm", "disarm")
		s.Ctl("auth", "status")
		s.Ctl("get", "k001")
	}},
	{Name: "ctl_auth_is_off", Run: func(_ context.Context, s *Session) {
		s.Ctl("auth", "status")
		s.Ctl("get", "a", "--user", "root:secret")
	}},
	{Name: "ctl_alarm", Run: func(ctx context.Context, s *Session) {
		alarm(ctx, s, pb.AlarmRequest_ACTIVATE, pb.AlarmType_CORRUPT)
		s.Ctl("alarm", "list")
		s.Ctl("put", "a", "1")
		s.Ctl("endpoint", "health")
		s.Ctl("alarm", "disarm")
		s.Ctl("alarm", "list")
		s.Ctl("put", "a", "1")
	}},
	{Name: "ctl_snapshot_save", Run: func(_ context.Context, s *Session) {
		s.Fill("k", 200)
		s.Ctl("snapshot", "save", "snapshot.db")
		file, err := os.Stat(filepath.Join(s.Server.Dir, "snapshot.db"))
		s.Note("a file that is not empty: %v %v", err == nil && file.Size() > 0, err)
		s.Note("whole pages and a digest: %v", err == nil && file.Size()%512 == 32)
	}},
	{Name: "ctl_make_mirror", Run: func(ctx context.Context, s *Session) {
		s.Ctl("put", "source/a", "1")
		s.Ctl("put", "source/b", "2")
		mirror := func() {
			s.awaitCount(ctx, "copy/", 2)
			s.Put("source/c", "3")
			s.awaitCount(ctx, "copy/", 3)
			s.Delete("source/a")
			s.awaitGone(ctx, "copy/a")
		}
		s.CtlLines(0, mirror, "make-mirror", s.Server.URL(), "--prefix", "source/", "--dest-prefix", "copy/")
		s.Ctl("get", "copy/", "--prefix")
	}},
	{Name: "ctl_check_perf", Options: Options{Timeout: 3 * time.Minute}, Run: checkPerf},
}

// nameElected waits for the winner and names the lease that its key is made of.
func (s *Session) nameElected(ctx context.Context) {
	s.awaitCount(ctx, "office/", 1)
	elected, err := s.KV.Range(Quiet(ctx), &pb.RangeRequest{Key: []byte("office/"), RangeEnd: prefixEnd("office/")})
	if err != nil {
		s.Fail("office: %v", err)
	}
	s.Names.Intern("lease", uint64(elected.Kvs[0].Lease))
}

// checkPerf runs the smallest load there is, 150 puts a second for a minute. The verdict
// depends on what else the machine does; that the load runs to its end does not.
func checkPerf(ctx context.Context, s *Session) {
	stdout, stderr, code := s.ctl(ctx, "", []string{"check", "perf", "--load", "s", "--auto-compact", "--auto-defrag"})
	for _, verdict := range []string{"Throughput", "Slowest request", "Stddev", "ERROR", "Cleanup failed"} {
		s.Note("%s: %v", verdict, strings.Contains(stdout, verdict))
	}
	s.Note("exit code known: %v, errors: %q", code == 0 || code == 1, plainErrors(stderr))
	s.awaitCount(ctx, "/etcdctl-check-perf/", 0)
}

func plainErrors(stderr string) []string {
	var lines []string
	for _, line := range strings.Split(stderr, "\n") {
		if line != "" && !strings.HasPrefix(line, "{") && !strings.Contains(line, "%") {
			lines = append(lines, line)
		}
	}
	return lines
}

// awaitGone waits until the key does not exist.
func (s *Session) awaitGone(ctx context.Context, key string) {
	for deadline := time.Now().Add(callTimeout); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if answer, err := s.KV.Range(Quiet(ctx), &pb.RangeRequest{Key: []byte(key)}); err == nil && answer.Count == 0 {
			return
		}
	}
	s.Fail("%s is still there", key)
}

// ctlRefusal is a command that etcd serves while auth is off and Taffrail refuses.
func ctlRefusal(name, etcd string, arguments ...string) Divergence {
	return Divergence{
		Name:     "ctl_" + name,
		Reason:   "Taffrail keeps no users and roles",
		Etcd:     etcd,
		Taffrail: "exit 1: Error: etcdserver: authentication is not enabled",
		Run: func(ctx context.Context, s *Session) string {
			_, stderr, code := s.ctl(ctx, "", arguments)
			return strings.TrimSpace(fmt.Sprintf("exit %d: %s", code, strings.Join(plainErrors(stderr), " ")))
		},
	}
}

var etcdctlDivergences = []Divergence{
	ctlRefusal("user_add", "exit 0:", "user", "add", "someone", "--no-password"),
	ctlRefusal("user_list", "exit 0:", "user", "list"),
	ctlRefusal("user_get", "exit 1: Error: etcdserver: user name not found", "user", "get", "someone"),
	ctlRefusal("role_add", "exit 0:", "role", "add", "something"),
	ctlRefusal("role_get", "exit 1: Error: etcdserver: role name not found", "role", "get", "something"),
	ctlRefusal("auth_enable", "exit 1: Error: etcdserver: root user does not exist", "auth", "enable"),
}
