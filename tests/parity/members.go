package parity

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

var (
	memberCount = flag.Int("members", 1, "how many members both clusters have")
	backend     = flag.String("backend", "", "where Taffrail keeps its log: sqlite or dqlite; sqlite for one member, dqlite for several, if empty")
	asked       = flag.String("asked", "follower", "which of several members the scripts go to: follower or leader")
)

// severalMembers says whether the clusters have more than one member.
func severalMembers() bool { return *memberCount > 1 }

// asksFollower says whether the scripts go to a member that does not lead.
func asksFollower() bool { return severalMembers() && *asked == "follower" }

// checkMembers refuses flags that make no sense.
func checkMembers() error {
	switch {
	case *memberCount != 1 && *memberCount != 3:
		return fmt.Errorf("-members %d: want 1 or 3", *memberCount)
	case *asked != "follower" && *asked != "leader":
		return fmt.Errorf("-asked %q: want follower or leader", *asked)
	case *backend != "" && *backend != "sqlite" && *backend != "dqlite":
		return fmt.Errorf("-backend %q: want sqlite or dqlite", *backend)
	}
	return nil
}

// Members are the servers of one cluster; there is one, unless -members says otherwise.
type Members []*Server

// startAttempts is how often a cluster is started on other ports when somebody else took
// one of them between its choice and the start.
const startAttempts = 3

// startMembers starts a cluster on empty directories and waits until all of it is healthy.
func startMembers(ctx context.Context, flavour Flavour, dir string, options Options) (members Members, err error) {
	for attempt := range startAttempts {
		members, err = prepareMembers(flavour, filepath.Join(dir, fmt.Sprint(attempt)), options)
		if err != nil {
			return members, err
		}
		if err = members.Start(ctx); err == nil || !members.portTaken() {
			return members, err
		}
		members.Kill()
	}
	return members, err
}

func prepareMembers(flavour Flavour, dir string, options Options) (Members, error) {
	var members Members
	var initial []string
	for number := range *memberCount {
		server, err := newServer(flavour, memberName(number), filepath.Join(dir, fmt.Sprint(number)), options)
		if err != nil {
			return nil, err
		}
		members = append(members, server)
		initial = append(initial, server.Name+"="+server.peerURL())
	}
	for _, server := range members {
		server.initialCluster = strings.Join(initial, ",")
	}
	return members, nil
}

func (m Members) portTaken() bool {
	return strings.Contains(strings.ToLower(m.LogTail()), "address already in use")
}

func memberName(number int) string {
	if !severalMembers() {
		return "member"
	}
	return fmt.Sprintf("server-%d", number+1)
}

// Start runs all processes, also again after Kill, and waits until all are healthy.
func (m Members) Start(ctx context.Context) error {
	for _, server := range m {
		if err := server.launch(); err != nil {
			return err
		}
	}
	for _, server := range m {
		if err := server.awaitHealth(ctx); err != nil {
			return fmt.Errorf("%w\n%s", err, m.LogTail())
		}
	}
	return nil
}

// Kill ends all processes without a chance to say goodbye.
func (m Members) Kill() {
	for _, server := range m {
		server.Kill()
	}
}

// LogTail is the end of what the processes printed.
func (m Members) LogTail() string {
	var tails strings.Builder
	for _, server := range m {
		if server.log != nil {
			fmt.Fprintf(&tails, "%s %s:\n%s\n", server.Flavour, server.Name, server.LogTail())
		}
	}
	return tails.String()
}

// choose returns the member that the script goes to, when all agree on who leads, and
// gives the members names by what they are to the script: who leads is chance.
func (m Members) choose(ctx context.Context, names *Names) (*Server, error) {
	if !severalMembers() {
		return m[0], nil
	}
	ids, leader, err := m.agree(ctx)
	if err != nil {
		return nil, fmt.Errorf("%w\n%s", err, m.LogTail())
	}
	chosen := leader
	if *asked == "follower" {
		chosen = (leader + 1) % len(m)
	}
	names.Members(m.describe(ids, chosen, leader))
	return m[chosen], nil
}

// namedMember is a member and what it is called in transcripts.
type namedMember struct {
	id       uint64
	name     string
	literals []replacement
}

func (m Members) describe(ids []uint64, chosen, leader int) []namedMember {
	var described []namedMember
	for number, server := range m {
		role := "another"
		switch number {
		case chosen:
			role = "asked"
		case leader:
			role = "leader"
		}
		described = append(described, namedMember{
			id:   ids[number],
			name: "<" + role + ">",
			literals: []replacement{
				{server.Name, "<name of " + role + ">"},
				{":" + server.ClientPort, ":<client port of " + role + ">"},
				{":" + server.PeerPort, ":<peer port of " + role + ">"},
			},
		})
	}
	return described
}

// agree waits until all members know of all, name the same leader, and returns their ids and which of them it is.
func (m Members) agree(ctx context.Context) (ids []uint64, leader int, err error) {
	for deadline := time.Now().Add(startTimeout); time.Now().Before(deadline) && ctx.Err() == nil; time.Sleep(20 * time.Millisecond) {
		if ids, leader, err = m.leader(ctx); err == nil {
			return ids, leader, nil
		}
	}
	return nil, 0, fmt.Errorf("the members do not agree: %w", err)
}

func (m Members) leader(ctx context.Context) (ids []uint64, leader int, err error) {
	leaders := map[string]bool{}
	leader = -1
	for number, server := range m {
		status, err := server.status(ctx)
		if err != nil {
			return nil, 0, err
		}
		id, err := strconv.ParseUint(status.Header.MemberID, 10, 64)
		if err != nil {
			return nil, 0, fmt.Errorf("%s has no id: %w", server.Name, err)
		}
		ids, leaders[status.Leader] = append(ids, id), true
		if status.Leader == status.Header.MemberID {
			leader = number
		}
		if voters, err := server.voters(ctx); err != nil || voters != len(m) {
			return nil, 0, fmt.Errorf("%s counts %d voters: %w", server.Name, voters, errors.Join(err))
		}
	}
	if len(leaders) != 1 || leader < 0 {
		return nil, 0, fmt.Errorf("leaders %v of %d", sortedKeys(leaders), ids)
	}
	return ids, leader, nil
}

// gatewayStatus is the part of a Status answer that the harness needs.
type gatewayStatus struct {
	Header struct {
		MemberID string `json:"member_id"`
		Revision string
	}
	IsLearner               bool
	Leader                  string
	Version, StorageVersion string
}

func (s *Server) status(ctx context.Context) (status gatewayStatus, err error) {
	err = s.gateway(ctx, "/v3/maintenance/status", &status)
	return status, err
}

// voters counts the members that this one knows of and that have said who they are.
func (s *Server) voters(ctx context.Context) (int, error) {
	var list struct {
		Members []struct {
			IsLearner  bool
			ClientURLs []string
		}
	}
	err := s.gateway(ctx, "/v3/cluster/member/list", &list)
	count := 0
	for _, member := range list.Members {
		if !member.IsLearner && len(member.ClientURLs) > 0 {
			count++
		}
	}
	return count, err
}

// gateway makes a call with an empty request through the JSON gateway, past any recording.
func (s *Server) gateway(ctx context.Context, path string, answer any) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, s.URL()+path, strings.NewReader("{}"))
	if err != nil {
		return err
	}
	response, err := s.httpClient().Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", path, response.Status)
	}
	return json.NewDecoder(response.Body).Decode(answer)
}

// newServer prepares a member; it gets a directory and ports of its own.
func newServer(flavour Flavour, name, dir string, options Options) (*Server, error) {
	ports, err := freePorts(3)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	server := &Server{Flavour: flavour, Name: name, Dir: dir, options: options,
		ClientPort: ports[0], PeerPort: ports[1], MetricsPort: ports[2]}
	if options.TLS {
		if server.PKI, err = newAuthority(filepath.Join(dir, "pki")); err != nil {
			return nil, err
		}
	}
	server.log, err = os.Create(filepath.Join(dir, "log"))
	return server, err
}
