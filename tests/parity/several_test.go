package parity

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestSeveral is about what only several members can do: leaders that are moved or lost, and
// members that come and go.
func TestSeveral(t *testing.T) {
	if !severalMembers() {
		t.Log("a server that is alone has no other members: -members=3 runs these scripts")
		return
	}
	runSection(t, slices.Concat(scriptsOfSeveral...), slices.Concat(divergencesOfSeveral...)...)
}

var severalScripts = []Script{
	{Name: "A8.6b_leader_is_moved", Run: leaderIsMoved},
	{Name: "A9.2b_member_comes_and_goes", Run: memberComesAndGoes},
	{Name: "A9.2c_second_learner", Run: secondLearner},
	{Name: "A9.2e_two_learners", Options: Options{Flags: []string{"--max-learners", "2"}}, Run: secondLearner},
	{Name: "A9.2d_member_that_is_not_started", Run: promoteUnstarted},
}

// ctlAll runs an etcdctl command with the endpoints of all members.
func (s *Session) ctlAll(arguments ...string) string {
	var endpoints []string
	for _, member := range s.Members {
		endpoints = append(endpoints, member.URL())
	}
	slices.SortFunc(endpoints, func(a, b string) int { return cmp.Compare(s.Names.Text(a), s.Names.Text(b)) })
	return s.Ctl(append(arguments, "--endpoints", strings.Join(endpoints, ","))...)
}

// leaderIsMoved has etcdctl move it to the member that the script goes to, or away from it,
// and back.
func leaderIsMoved(ctx context.Context, s *Session) {
	s.Ctl("put", "a", "1")
	s.endpointsAgree(ctx)
	ids, first := s.agree(ctx)
	heir := slices.Index(s.Members, s.Server)
	if heir == first {
		heir = (first + 1) % len(ids)
	}
	for _, target := range []string{"12345", hex(ids[first]), hex(ids[heir])} {
		s.ctlAll("move-leader", target)
	}
	_, now := s.agree(ctx)
	s.Note("the heir leads: %v", now == heir)
	s.endpointsAgree(ctx)
	s.Put("a", "2")
	s.ctlAll("move-leader", hex(ids[first]))
	_, now = s.agree(ctx)
	s.Note("the first leads again: %v", now == first)
	s.Put("a", "3")
	s.All()
}

func hex(id uint64) string { return fmt.Sprintf("%x", id) }

func (s *Session) agree(ctx context.Context) (ids []uint64, leader int) {
	ids, leader, err := s.Members.agree(ctx)
	if err != nil {
		s.Fail("%v", err)
	}
	return ids, leader
}

// endpointsAgree has etcdctl ask every member that the cluster names, once all have reached
// the same revision.
func (s *Session) endpointsAgree(ctx context.Context) {
	s.awaitEqualRevisions(ctx)
	s.Ctl("member", "list")
	s.Ctl("endpoint", "health", "--cluster")
	s.Ctl("endpoint", "health", "--cluster", "-w", "json")
	s.Ctl("endpoint", "hashkv", "--cluster", "-w", "json")
	s.noteStatus(s.Ctl("endpoint", "status", "--cluster", "-w", "json"))
}

func (s *Session) awaitEqualRevisions(ctx context.Context) {
	for deadline := time.Now().Add(startTimeout); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		revisions := map[string]bool{}
		for _, member := range s.Members {
			answer, err := member.status(ctx)
			if err != nil {
				s.Fail("status of %s: %v", member.Name, err)
			}
			revisions[answer.Header.Revision] = true
		}
		if len(revisions) == 1 {
			return
		}
	}
	s.Fail("the members do not reach the same revision")
}

// noteStatus says whether etcdctl's table is one of a cluster: one leader of one term, which
// is a member, and one revision.
func (s *Session) noteStatus(printed string) {
	var rows []struct {
		Status struct {
			Header struct {
				MemberID uint64 `json:"member_id"`
				Revision int64
			}
			Leader, RaftTerm uint64
		}
	}
	if err := json.Unmarshal([]byte(printed), &rows); err != nil {
		s.Fail("endpoint status: %v", err)
	}
	members, leaders, terms, revisions := map[uint64]bool{}, map[uint64]bool{}, map[uint64]bool{}, map[int64]bool{}
	for _, row := range rows {
		members[row.Status.Header.MemberID], leaders[row.Status.Leader] = true, true
		terms[row.Status.RaftTerm], revisions[row.Status.Header.Revision] = true, true
	}
	s.Note("of %d endpoints: %d members, %d leaders, one of them: %v; %d terms, %d revisions", len(rows),
		len(members), len(leaders), len(rows) > 0 && members[rows[0].Status.Leader], len(terms), len(revisions))
}
