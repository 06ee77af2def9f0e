package parity

import (
	"context"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

// promotionTimeout is how long a learner may take until it has caught up.
const promotionTimeout = 30 * time.Second

// memberComesAndGoes has etcdctl add a fourth member, promote and remove it. Who votes is not
// compared while there are four: in Taffrail that many vote as --voters says, three unless told,
// and one too many is a learner again soon.
func memberComesAndGoes(ctx context.Context, s *Session) {
	s.Fill("k", 20)
	fourth, id := s.addLearner(ctx)
	s.Ctl("member", "list")
	s.Ctl("member", "add", "again", "--peer-urls", s.Server.peerURL(), "--learner")
	s.startAdded(ctx, fourth)
	defer fourth.Kill()
	s.promote(id)
	s.Put("through", "four")
	s.awaitRevision(ctx, fourth, 22)
	s.Ctl("get", "k", "--prefix", "--endpoints", fourth.URL())
	s.Ctl("endpoint", "health", "--cluster")
	s.Ctl("member", "remove", id)
	s.Note("it ends by itself: %v", fourth.endsByItself())
	s.agree(ctx)
	s.endpointsAgree(ctx)
	s.Ctl("member", "remove", id)
	s.Ctl("member", "promote", id)
	s.Put("through", "three")
	s.All()
}

// addLearner has etcdctl add a member that is not started yet, and returns its id.
func (s *Session) addLearner(ctx context.Context) (fourth *Server, id string) {
	fourth = s.prepareMember("server-4")
	s.awaitConnected(ctx, []string{s.Server.peerURL()})
	added := s.Ctl("member", "add", fourth.Name, "--peer-urls", fourth.peerURL(), "--learner")
	member, cluster := addedMember.FindStringSubmatch(added), initialCluster.FindStringSubmatch(added)
	if member == nil || cluster == nil {
		s.Fail("no member was added: %s", added)
	}
	fourth.initialCluster = cluster[1]
	return fourth, member[1]
}

// startAdded starts it as etcdctl has said.
func (s *Session) startAdded(ctx context.Context, added *Server) {
	if err := added.Start(ctx); err != nil {
		s.Fail("the member that was added: %v", err)
	}
}

// awaitDescribed waits until the member that is asked knows where the added one serves clients: that it was started.
func (s *Session) awaitDescribed(ctx context.Context, added *Server) {
	described := func(member *pb.Member) bool { return member.Name == added.Name && len(member.ClientURLs) > 0 }
	for deadline := time.Now().Add(startTimeout); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		list, err := s.Cluster.MemberList(Quiet(ctx), &pb.MemberListRequest{Linearizable: true})
		if err == nil && slices.ContainsFunc(list.Members, described) {
			return
		}
	}
	s.Fail("%s is not described", added.Name)
}

func (s *Session) awaitRevision(ctx context.Context, member *Server, revision int64) {
	for deadline := time.Now().Add(startTimeout); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if answer, err := member.status(ctx); err == nil && answer.Header.Revision == fmt.Sprint(revision) {
			return
		}
	}
	s.Fail("%s does not reach revision %d", member.Name, revision)
}

var (
	addedMember    = regexp.MustCompile(`(?m)^Member +([0-9a-f]+) added`)
	initialCluster = regexp.MustCompile(`(?m)^ETCD_INITIAL_CLUSTER="(.*)"$`)
)

// prepareMember prepares one more member as etcd's own instructions have it: its part of the
// command line says that the cluster exists.
func (s *Session) prepareMember(name string) *Server {
	options := s.Server.options
	options.Flags = append([]string{"--initial-cluster-state", "existing"}, options.Flags...)
	member, err := newServer(s.Server.Flavour, name, filepath.Join(filepath.Dir(s.Server.Dir), name), options)
	if err != nil {
		s.Fail("one more member: %v", err)
	}
	s.Names.Replace(":"+member.ClientPort, ":<client port of the fourth>")
	s.Names.Replace(":"+member.PeerPort, ":<peer port of the fourth>")
	s.Names.Replace(member.Dir, "<dir of the fourth>")
	return member
}

// promoteUnstarted has etcdctl promote a member that cannot have caught up, and remove it then.
func promoteUnstarted(ctx context.Context, s *Session) {
	_, id := s.addLearner(ctx)
	s.Ctl("member", "promote", id)
	s.Ctl("member", "list")
	s.Ctl("member", "remove", id)
	s.Ctl("member", "list")
}

// promote asks until the learner has caught up. In Taffrail, a promotion that was not done in
// time may be done all the same: then it is refused the next time, as it is a voter already.
func (s *Session) promote(id string) {
	tried, expected := false, "Member <member 4> promoted in cluster <cluster>"
	for deadline := time.Now().Add(promotionTimeout); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		stdout, stderr, code := s.ctl(s.ctx, "", []string{"member", "promote", id})
		said := s.normaliseLine(strings.TrimSpace(stdout))
		switch {
		case code == 0 && said != expected:
			s.Fail("etcdctl says %q of a promotion", said)
		case code == 0, tried && strings.Contains(stderr, "can only promote a learner member\n"):
			s.Note("%s", expected)
			return
		}
		tried = true
	}
	s.Fail("the learner is not promoted")
}

// endsByItself waits for the process' end.
func (s *Server) endsByItself() bool {
	select {
	case <-s.exited:
		return true
	case <-time.After(startTimeout):
		return false
	}
}

// learnerSays is what a learner answers, in a few words.
func learnerSays(ctx context.Context, s *Session) string {
	s.Put("a", "1")
	fourth, _ := s.addLearner(ctx)
	s.startAdded(ctx, fourth)
	defer fourth.Kill()
	s.awaitRevision(ctx, fourth, 2)
	learner, err := openNamedSession(ctx, s.Members, fourth, s.Names)
	if err != nil {
		s.Fail("%v", err)
	}
	defer learner.Close()
	ctx = Quiet(ctx)
	_, stale := learner.KV.Range(ctx, &pb.RangeRequest{Key: []byte("a"), Serializable: true})
	_, read := learner.KV.Range(ctx, &pb.RangeRequest{Key: []byte("a")})
	_, written := learner.KV.Put(ctx, &pb.PutRequest{Key: []byte("a")})
	_, leases := learner.Lease.LeaseLeases(ctx, &pb.LeaseLeasesRequest{})
	answer, err := learner.Maintenance.Status(ctx, &pb.StatusRequest{})
	return fmt.Sprintf("serializable range: %s, range: %s, put: %s, leases: %s, status: %s, of a learner: %v",
		outcome(stale), outcome(read), outcome(written), outcome(leases), outcome(err), answer.GetIsLearner())
}

// secondLearner asks for one more while one is waited for.
func secondLearner(ctx context.Context, s *Session) {
	s.addLearner(ctx)
	_, _ = s.Cluster.MemberAdd(ctx, secondLearnerRequest)
	s.Ctl("member", "list")
}

// learnerBesideOne asks for one more while there is one that has been started.
func learnerBesideOne(ctx context.Context, s *Session) string {
	fourth, _ := s.addLearner(ctx)
	s.startAdded(ctx, fourth)
	defer fourth.Kill()
	s.awaitDescribed(ctx, fourth)
	_, err := s.Cluster.MemberAdd(Quiet(ctx), secondLearnerRequest)
	return outcome(err)
}

var secondLearnerRequest = &pb.MemberAddRequest{PeerURLs: []string{"http://127.0.0.1:1"}, IsLearner: true}

var severalDivergences = []Divergence{{
	Name: "A9.2f_learner_beside_one",
	Reason: "etcd has as many learners as --max-learners says until they are promoted; in Taffrail members more than " +
		"--voters are learners for as long as they run, so that only those count that have not been started yet",
	Etcd:     "FailedPrecondition etcdserver: too many learner members in cluster",
	Taffrail: "OK",
	Run:      learnerBesideOne,
}, {
	Name:   "A9.3_learner",
	Reason: "in Taffrail whoever has a replica serves all calls, as every follower does: it asks the leader",
	Etcd: "serializable range: OK, range: FailedPrecondition etcdserver: rpc not supported for learner, " +
		"put: FailedPrecondition etcdserver: rpc not supported for learner, " +
		"leases: FailedPrecondition etcdserver: rpc not supported for learner, status: OK, of a learner: true",
	Taffrail: "serializable range: OK, range: OK, put: OK, leases: OK, status: OK, of a learner: true",
	Run:      learnerSays,
}}
