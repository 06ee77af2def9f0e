package parity

import (
	"context"
	"regexp"
	"sort"
	"strconv"
	"strings"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

func TestMetrics(t *testing.T) { runSection(t, metricsScripts) }

// dashboardMetrics are the names that the usual dashboards and alerts ask for and that a
// single etcd has: not the ones about peers, nor etcd_debugging_mvcc_put_total, which is gone.
var dashboardMetrics = strings.Fields(`
	etcd_server_has_leader etcd_server_leader_changes_seen_total etcd_server_is_leader etcd_server_is_learner
	etcd_server_id etcd_server_version etcd_cluster_version
	etcd_server_proposals_failed_total etcd_server_proposals_pending etcd_server_proposals_committed_total
	etcd_server_proposals_applied_total etcd_server_slow_apply_total etcd_server_slow_read_indexes_total
	etcd_server_read_indexes_failed_total etcd_server_heartbeat_send_failures_total
	etcd_server_health_success etcd_server_health_failures etcd_server_healthcheck etcd_server_healthchecks_total
	etcd_server_quota_backend_bytes etcd_server_client_requests_total etcd_server_apply_duration_seconds
	etcd_server_request_duration_seconds etcd_server_range_duration_seconds
	etcd_disk_wal_fsync_duration_seconds etcd_disk_backend_commit_duration_seconds
	etcd_disk_backend_defrag_duration_seconds etcd_disk_backend_snapshot_duration_seconds
	etcd_disk_defrag_inflight etcd_disk_wal_write_bytes_total
	etcd_snap_db_fsync_duration_seconds etcd_snap_db_save_total_duration_seconds
	etcd_mvcc_db_total_size_in_bytes etcd_mvcc_db_total_size_in_use_in_bytes etcd_mvcc_db_open_read_transactions
	etcd_mvcc_put_total etcd_mvcc_delete_total etcd_mvcc_range_total etcd_mvcc_txn_total
	etcd_debugging_mvcc_keys_total etcd_debugging_mvcc_current_revision etcd_debugging_mvcc_compact_revision
	etcd_debugging_mvcc_events_total etcd_debugging_mvcc_pending_events_total etcd_debugging_mvcc_slow_watcher_total
	etcd_debugging_mvcc_watcher_total etcd_debugging_mvcc_watch_stream_total
	etcd_debugging_mvcc_db_compaction_keys_total etcd_debugging_mvcc_db_compaction_last
	etcd_debugging_mvcc_db_compaction_pause_duration_milliseconds
	etcd_debugging_mvcc_db_compaction_total_duration_milliseconds
	etcd_debugging_mvcc_total_put_size_in_bytes
	etcd_debugging_lease_granted_total etcd_debugging_lease_renewed_total etcd_debugging_lease_revoked_total
	etcd_debugging_server_lease_expired_total
	etcd_network_client_grpc_sent_bytes_total etcd_network_client_grpc_received_bytes_total
	grpc_server_started_total grpc_server_handled_total grpc_server_msg_received_total grpc_server_msg_sent_total
	process_resident_memory_bytes process_cpu_seconds_total process_open_fds process_max_fds process_start_time_seconds
	os_fd_used os_fd_limit`)

// comparedValues are metrics whose value follows from the requests alone.
var comparedValues = strings.Fields(`
	etcd_server_has_leader etcd_server_is_leader etcd_server_is_learner etcd_server_slow_read_indexes_total
	etcd_server_proposals_failed_total etcd_server_proposals_pending etcd_server_quota_backend_bytes
	etcd_mvcc_put_total etcd_mvcc_delete_total etcd_mvcc_txn_total
	etcd_debugging_mvcc_keys_total etcd_debugging_mvcc_current_revision etcd_debugging_mvcc_compact_revision
	etcd_debugging_mvcc_total_put_size_in_bytes etcd_debugging_mvcc_watcher_total
	etcd_debugging_mvcc_watch_stream_total etcd_debugging_mvcc_slow_watcher_total
	etcd_debugging_lease_granted_total etcd_debugging_lease_revoked_total
	etcd_debugging_lease_renewed_total etcd_debugging_server_lease_expired_total`)

var metricsScripts = []Script{
	{Name: "A16.1_names_types_and_labels", Run: func(ctx context.Context, s *Session) {
		s.workload(ctx)
		metrics := s.metrics()
		for _, name := range dashboardMetrics {
			s.Note("%s %s", name, metrics.describe(name))
		}
	}},
	{Name: "A16.2_values", Run: func(ctx context.Context, s *Session) {
		s.workload(ctx)
		metrics := s.metrics()
		for _, name := range comparedValues {
			s.Note("%s %v", name, metrics.samples(name))
		}
		for _, name := range []string{"grpc_server_handled_total", "grpc_server_msg_received_total"} {
			for _, sample := range metrics.samples(name) {
				if strings.Contains(sample, `grpc_service="etcdserverpb.KV"`) && !strings.HasSuffix(sample, " 0") {
					s.Note("%s", sample)
				}
			}
		}
	}},
	{Name: "A16.2b_operations", Run: func(_ context.Context, s *Session) {
		s.operations()
		metrics := s.metrics()
		for _, name := range []string{"etcd_mvcc_range_total", "etcd_mvcc_put_total", "etcd_mvcc_delete_total", "etcd_mvcc_txn_total"} {
			s.Note("%s %v", name, metrics.samples(name))
		}
	}},
	{Name: "A16.3_extensive", Options: Options{Flags: []string{"--metrics", "extensive"}}, Run: func(_ context.Context, s *Session) {
		s.Put("a", "1")
		s.Note("grpc_server_handling_seconds %s", s.metrics().describe("grpc_server_handling_seconds"))
	}},
}

// workload uses every part of the server once.
func (s *Session) workload(ctx context.Context) {
	w := s.Watch()
	w.CreatePrefix("", 0)
	s.Fill("k", 10)
	w.Events(10)
	s.Do(put("a", "1"), remove("k001"))
	s.Do(get("a"))
	s.Delete("k002")
	s.Delete("missing")
	s.Put("", "refused")
	s.Grant(7, 1000)
	s.KeepAlive(7)
	s.Revoke(7)
	s.Compact(5)
	s.All()
	_, _ = s.Maintenance.Defragment(Quiet(ctx), &pb.DefragmentRequest{})
	s.HTTP("GET", "/readyz", "")
}

// operations are requests that etcd counts in ways of its own.
func (s *Session) operations() {
	s.PutRequest(&pb.PutRequest{Key: []byte("a"), Value: []byte("1"), PrevKv: true})
	s.PutRequest(&pb.PutRequest{Key: []byte("a"), IgnoreValue: true})
	s.PutRequest(&pb.PutRequest{Key: []byte("missing"), IgnoreLease: true})
	s.PutRequest(&pb.PutRequest{Key: []byte("a"), Lease: 99})
	s.Get("a")
	s.GetAt("a", 99)
	s.Delete("missing")
	s.Fill("k", 4)
	s.DeleteRange(&pb.DeleteRangeRequest{Key: []byte("k"), RangeEnd: []byte("l"), PrevKv: true})
	s.Grant(7, 1000)
	s.PutLeased("l1", "1", 7)
	s.PutLeased("l2", "1", 7)
	both := compares(versionIs("a", 2), versionIs("l1", 1))
	s.Txn(both, ops(put("b", "1"), get("a"), remove("l3")), yes)
	s.Txn(both, ops(get("b"), get("a")), yes)
	s.Txn(compares(versionIs("a", 9), versionIs("l1", 1)), ops(put("b", "1")), ops(get("a")))
	s.Txn(both, ops(putOp(&pb.PutRequest{Key: []byte("missing"), IgnoreValue: true})), yes)
	s.Revoke(7)
}

// exposition is what GET /metrics answers, by metric.
type exposition struct {
	kinds map[string]string
	lines map[string][]string
}

var sampleName = regexp.MustCompile(`^[a-zA-Z_:][a-zA-Z0-9_:]*`)
var sampleLabel = regexp.MustCompile(`([a-zA-Z_][a-zA-Z0-9_]*)="`)

func (s *Session) metrics() exposition {
	_, text := s.Fetch("/metrics")
	e := exposition{kinds: map[string]string{}, lines: map[string][]string{}}
	for _, line := range strings.Split(text, "\n") {
		if rest, isType := strings.CutPrefix(line, "# TYPE "); isType {
			name, kind, _ := strings.Cut(rest, " ")
			e.kinds[name] = kind
			continue
		}
		if line == "" || line[0] == '#' {
			continue
		}
		name := e.family(sampleName.FindString(line))
		e.lines[name] = append(e.lines[name], line)
	}
	return e
}

// family is the metric to which a sample of a histogram or summary belongs.
func (e exposition) family(sample string) string {
	for _, suffix := range []string{"_bucket", "_sum", "_count"} {
		if name, cut := strings.CutSuffix(sample, suffix); cut && (e.kinds[name] == "histogram" || e.kinds[name] == "summary") {
			return name
		}
	}
	return sample
}

// describe is the type of a metric and the names of its labels.
func (e exposition) describe(name string) string {
	if len(e.lines[name]) == 0 {
		return "absent"
	}
	labels := map[string]bool{}
	for _, line := range e.lines[name] {
		for _, match := range sampleLabel.FindAllStringSubmatch(line, -1) {
			labels[match[1]] = true
		}
	}
	return e.kinds[name] + " " + strings.Join(sortedKeys(labels), ",")
}

func (e exposition) samples(name string) []string {
	var lines []string
	for _, line := range e.lines[name] {
		at := strings.LastIndexByte(line, ' ')
		if value, err := strconv.ParseFloat(line[at+1:], 64); err == nil {
			line = line[:at+1] + strconv.FormatFloat(value, 'f', -1, 64)
		}
		lines = append(lines, line)
	}
	sort.Strings(lines)
	return lines
}
