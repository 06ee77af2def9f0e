package parity

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	reflectionpb "google.golang.org/grpc/reflection/grpc_reflection_v1"
)

func TestMaintenance(t *testing.T) { runSection(t, maintenanceScripts, maintenanceDivergences...) }

func alarm(ctx context.Context, s *Session, action pb.AlarmRequest_AlarmAction, kind pb.AlarmType) {
	_, _ = s.Maintenance.Alarm(ctx, &pb.AlarmRequest{Action: action, Alarm: kind})
}

var maintenanceScripts = []Script{
	{Name: "A8.1_status", Run: func(ctx context.Context, s *Session) {
		_, _ = s.Maintenance.Status(ctx, &pb.StatusRequest{})
		s.Fill("k", 10)
		answer, err := s.Maintenance.Status(ctx, &pb.StatusRequest{})
		s.Note("sizes make sense: %v", err == nil && answer.DbSizeInUse <= answer.DbSize)
		s.Note("indexes make sense: %v", err == nil && answer.RaftAppliedIndex <= answer.RaftIndex)
	}},
	{Name: "A8.2_alarms", Run: func(ctx context.Context, s *Session) {
		alarm(ctx, s, pb.AlarmRequest_GET, pb.AlarmType_NONE)
		alarm(ctx, s, pb.AlarmRequest_DEACTIVATE, pb.AlarmType_NOSPACE)
		alarm(ctx, s, pb.AlarmRequest_DEACTIVATE, pb.AlarmType_NONE)
		alarm(ctx, s, pb.AlarmRequest_GET, pb.AlarmType_CORRUPT)
		_, _ = s.Maintenance.Alarm(ctx, &pb.AlarmRequest{Action: pb.AlarmRequest_DEACTIVATE, MemberID: 4, Alarm: pb.AlarmType_CORRUPT})
	}},
	{Name: "A8.2b_corrupt_alarm_stops_writes", Run: func(ctx context.Context, s *Session) {
		s.Put("a", "1")
		s.Grant(7, 1000)
		alarm(ctx, s, pb.AlarmRequest_ACTIVATE, pb.AlarmType_CORRUPT)
		alarm(ctx, s, pb.AlarmRequest_ACTIVATE, pb.AlarmType_CORRUPT)
		alarm(ctx, s, pb.AlarmRequest_GET, pb.AlarmType_NONE)
		alarm(ctx, s, pb.AlarmRequest_GET, pb.AlarmType_NOSPACE)
		s.Put("a", "2")
		s.Delete("a")
		s.Do(put("a", "2"))
		s.Do(get("a"))
		s.Compact(2)
		s.Grant(8, 1000)
		s.Revoke(7)
		s.Get("a")
		_, _ = s.Maintenance.Status(ctx, &pb.StatusRequest{})
		s.HTTP("GET", "/health", "")
		s.HTTP("GET", "/readyz?verbose", "")
		s.HTTP("GET", "/livez", "")
		alarm(ctx, s, pb.AlarmRequest_DEACTIVATE, pb.AlarmType_CORRUPT)
		s.Put("a", "2")
		s.HTTP("GET", "/health", "")
	}},
	{Name: "A8.2e_alarms_of_other_members", Run: func(ctx context.Context, s *Session) {
		for _, member := range []uint64{7, 8, 7} {
			_, _ = s.Maintenance.Alarm(ctx, &pb.AlarmRequest{Action: pb.AlarmRequest_ACTIVATE, MemberID: member, Alarm: pb.AlarmType_NOSPACE})
		}
		s.Put("a", "1")
		for _, member := range []uint64{0, 8, 9} {
			_, _ = s.Maintenance.Alarm(ctx, &pb.AlarmRequest{Action: pb.AlarmRequest_DEACTIVATE, MemberID: member, Alarm: pb.AlarmType_NOSPACE})
		}
		alarm(ctx, s, pb.AlarmRequest_GET, pb.AlarmType_NONE)
		_, _ = s.Maintenance.Status(ctx, &pb.StatusRequest{})
		_, _ = s.Maintenance.Alarm(ctx, &pb.AlarmRequest{Action: pb.AlarmRequest_DEACTIVATE, MemberID: 7, Alarm: pb.AlarmType_NOSPACE})
		s.Put("a", "1")
	}},
	{Name: "A8.2f_alarms_of_other_members_survive_restart", Run: func(ctx context.Context, s *Session) {
		_, _ = s.Maintenance.Alarm(ctx, &pb.AlarmRequest{Action: pb.AlarmRequest_ACTIVATE, MemberID: 7, Alarm: pb.AlarmType_NOSPACE})
		s.Restart()
		s.Put("a", "1")
		_, _ = s.Maintenance.Alarm(ctx, &pb.AlarmRequest{Action: pb.AlarmRequest_DEACTIVATE, MemberID: 7, Alarm: pb.AlarmType_NOSPACE})
		s.Put("a", "1")
	}},
	{Name: "A8.2c_alarms_survive_restart", Run: func(ctx context.Context, s *Session) {
		alarm(ctx, s, pb.AlarmRequest_ACTIVATE, pb.AlarmType_NOSPACE)
		s.Put("a", "1")
		alarm(ctx, s, pb.AlarmRequest_GET, pb.AlarmType_NONE)
		alarm(ctx, s, pb.AlarmRequest_DEACTIVATE, pb.AlarmType_NOSPACE)
		alarm(ctx, s, pb.AlarmRequest_GET, pb.AlarmType_NONE)
		s.Restart()
		alarm(ctx, s, pb.AlarmRequest_GET, pb.AlarmType_NONE)
		s.Put("a", "1")
	}},
	{Name: "A8.3_defragment", Run: func(ctx context.Context, s *Session) {
		s.Fill("k", 50)
		s.Compact(40)
		_, _ = s.Maintenance.Defragment(ctx, &pb.DefragmentRequest{})
		s.GetAt("k003", 40)
		s.Put("a", "1")
	}},
	{Name: "A8.4_hash", Run: func(ctx context.Context, s *Session) {
		s.Put("a", "1")
		s.Put("a", "2")
		s.hashAt(ctx, 0, 3, 2, 0, 4)
		s.Put("b", "1")
		s.Delete("a")
		s.hashAt(ctx, 3, 5, 0)
		s.Compact(4)
		s.hashAt(ctx, 3, 5, 0, 6)
		_, _ = s.Maintenance.Hash(ctx, &pb.HashRequest{})
	}},
	{Name: "A8.4b_hash_at_the_compacted_revision", Run: func(ctx context.Context, s *Session) {
		s.Fill("k", 5)
		s.Delete("k001")
		s.Compact(4)
		s.Restart()
		s.hashAt(ctx, 4, 0, 3)
	}},
	{Name: "A8.4c_hash_after_compacting_nothing", Run: func(ctx context.Context, s *Session) {
		s.Compact(0)
		s.Put("a", "1")
		s.Restart()
		s.hashAt(ctx, 0, 2)
	}},
	{Name: "A8.4d_hash_at_a_negative_revision", Run: func(ctx context.Context, s *Session) {
		s.Put("a", "1")
		s.hashAt(ctx, -1)
	}},
	{Name: "A8.5_snapshot_stream", Run: snapshotStream},
	{Name: "A8.6_move_leader", Run: func(ctx context.Context, s *Session) {
		_, _ = s.Maintenance.MoveLeader(ctx, &pb.MoveLeaderRequest{TargetID: 12345})
		_, _ = s.Maintenance.MoveLeader(ctx, &pb.MoveLeaderRequest{})
	}},
	{Name: "A8.7_downgrade", Run: func(ctx context.Context, s *Session) {
		for action := range int32(4) {
			for _, version := range []string{"", "nonsense", "3.8.0", "3.7.0", "3.5.0", "2.0.0"} {
				if action == int32(pb.DowngradeRequest_CANCEL) && version != "" {
					continue
				}
				_, _ = s.Maintenance.Downgrade(ctx, &pb.DowngradeRequest{Action: pb.DowngradeRequest_DowngradeAction(action), Version: version})
			}
		}
	}},
	{Name: "A8.8_health_service", Run: func(ctx context.Context, s *Session) {
		_, _ = s.Health.Check(ctx, &healthpb.HealthCheckRequest{})
		_, _ = s.Health.Check(ctx, &healthpb.HealthCheckRequest{Service: "etcdserverpb.KV"})
		watchContext, cancel := context.WithTimeout(ctx, callTimeout)
		defer cancel()
		if stream, err := s.Health.Watch(watchContext, &healthpb.HealthCheckRequest{}); err == nil {
			_, _ = stream.Recv()
		}
		reflection := reflectionpb.NewServerReflectionClient(s.Connection)
		if stream, err := reflection.ServerReflectionInfo(watchContext); err == nil {
			_, _ = stream.Recv()
		}
	}},
}

// snapshotStream checks the envelope: what is inside is each server's own format.
func snapshotStream(ctx context.Context, s *Session) {
	s.Fill("k", 50)
	stream, err := s.Maintenance.Snapshot(Quiet(ctx), &pb.SnapshotRequest{})
	if err != nil {
		s.Fail("snapshot: %v", err)
	}
	digest := sha256.New()
	var last *pb.SnapshotResponse
	size, expected, small, counted := 0, uint64(0), true, true
	for {
		part, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			s.Fail("snapshot: %v", err)
		}
		if last != nil {
			digest.Write(last.Blob)
			size += len(last.Blob)
			counted = counted && (part.RemainingBytes == 0 || part.RemainingBytes+uint64(len(part.Blob)) == expected)
		}
		small = small && len(part.Blob) <= 32<<10
		expected, last = part.RemainingBytes, part
	}
	s.Note("header %v version %q", last.GetHeader(), last.GetVersion())
	s.Note("last is the digest of the rest: %v", string(last.GetBlob()) == string(digest.Sum(nil)))
	s.Note("ends with nothing remaining: %v, counts down: %v", last.GetRemainingBytes() == 0, counted)
	s.Note("blobs are small: %v, whole pages: %v, not empty: %v", small, size%512 == 0, size > 0)
}

const storedHashes = "etcd keeps the hashes it took while it compacted and answers with them until it restarts, " +
	"even where they are no longer those of what was asked for; Taffrail hashes what is there, as etcd does after a restart. " +
	"Its compaction reads nothing that it does not delete"

var maintenanceDivergences = []Divergence{{
	Name:     "A8.4e_hash_at_the_compacted_revision_before_a_restart",
	Reason:   storedHashes,
	Etcd:     "compacted -1, hashed 4",
	Taffrail: "compacted 4, hashed 4",
	Run: func(ctx context.Context, s *Session) string {
		s.Fill("k", 5)
		s.compactPhysically(ctx, 4)
		return s.hashed(ctx, 4)
	},
}, {
	Name:     "A8.4f_hash_of_the_newest_after_compacting_nothing",
	Reason:   storedHashes,
	Etcd:     "compacted -1, hashed 0",
	Taffrail: "compacted 0, hashed 2",
	Run: func(ctx context.Context, s *Session) string {
		s.compactPhysically(ctx, 0)
		s.Put("a", "1")
		return s.hashed(ctx, 0)
	},
}, {
	Name:     "A8.2d_alarm_of_an_unknown_kind",
	Reason:   "an alarm that nothing knows stops nothing: raising it could only make the server look unhealthy",
	Etcd:     "1 raised",
	Taffrail: "0 raised",
	Run: func(ctx context.Context, s *Session) string {
		alarm(Quiet(ctx), s, pb.AlarmRequest_ACTIVATE, pb.AlarmType(9))
		raised, err := s.Maintenance.Alarm(Quiet(ctx), &pb.AlarmRequest{})
		if err != nil {
			return err.Error()
		}
		return fmt.Sprintf("%d raised", len(raised.Alarms))
	},
}}

// compactPhysically waits for the whole compaction: etcd takes its hash at the end of it.
func (s *Session) compactPhysically(ctx context.Context, revision int64) {
	request := &pb.CompactionRequest{Revision: revision, Physical: true}
	if _, err := s.KV.Compact(Quiet(ctx), request); err != nil {
		s.Fail("compaction: %v", err)
	}
}

func (s *Session) hashed(ctx context.Context, revision int64) string {
	answer, err := s.Maintenance.HashKV(Quiet(ctx), &pb.HashKVRequest{Revision: revision})
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf("compacted %d, hashed %d", answer.CompactRevision, answer.HashRevision)
}

func (s *Session) hashAt(ctx context.Context, revisions ...int64) {
	for _, revision := range revisions {
		_, _ = s.Maintenance.HashKV(ctx, &pb.HashKVRequest{Revision: revision})
	}
}
