package parity

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"sync"
)

// Names gives the values that a server chooses itself (ids, hashes, ports) names in
// the order in which they appear, so that two servers can be compared and a value
// that should be the same twice still is seen to be the same.
type Names struct {
	mutex sync.Mutex
	byID  map[string]map[uint64]string
	texts []replacement
	// members are texts too, for as long as nobody takes another place in the cluster.
	members []replacement
}

type replacement struct{ literal, name string }

func newNames() *Names {
	return &Names{byID: map[string]map[uint64]string{}}
}

// Intern returns the name of a value of this kind, a new one if it is unknown.
func (n *Names) Intern(kind string, id uint64) string {
	n.mutex.Lock()
	defer n.mutex.Unlock()
	if name, known := n.byID[kind][id]; known {
		return name
	}
	if n.byID[kind] == nil {
		n.byID[kind] = map[uint64]string{}
	}
	name := fmt.Sprintf("<%s %d>", kind, len(n.byID[kind])+1)
	n.byID[kind][id] = name
	if id > 1<<32 {
		n.texts = append(n.texts, spellings(id, name)...)
	}
	return name
}

// spellings are the ways in which an id is written.
func spellings(id uint64, name string) []replacement {
	return []replacement{
		{strconv.FormatUint(id, 10), name},
		{strconv.FormatInt(int64(id), 10), name},
		{fmt.Sprintf("%016x", id), name},
		{strconv.FormatUint(id, 16), name},
	}
}

// Members names the members of a cluster, in the place of those that were named before.
func (n *Names) Members(members []namedMember) {
	n.mutex.Lock()
	defer n.mutex.Unlock()
	n.members, n.byID["member"] = nil, map[uint64]string{}
	for _, member := range members {
		n.byID["member"][member.id] = member.name
		n.members = append(n.members, member.literals...)
		n.members = append(n.members, spellings(member.id, member.name)...)
	}
}

// Known returns the name of a value, if it has one.
func (n *Names) Known(kind string, id uint64) (string, bool) {
	n.mutex.Lock()
	defer n.mutex.Unlock()
	name, known := n.byID[kind][id]
	return name, known
}

// Replace makes Text write name for every occurrence of literal.
func (n *Names) Replace(literal, name string) {
	n.mutex.Lock()
	defer n.mutex.Unlock()
	n.texts = append(n.texts, replacement{literal, name})
}

// Text replaces the named values inside a text.
func (n *Names) Text(text string) string {
	n.mutex.Lock()
	defer n.mutex.Unlock()
	for _, known := range [][]replacement{n.members, n.texts} {
		for _, r := range known {
			text = strings.ReplaceAll(text, r.literal, r.name)
		}
	}
	return text
}

var patchVersion = regexp.MustCompile(`^(\d+\.\d+)\.\d+`)

// withoutPatch reduces 3.7.1 to 3.7.x: the minor version is what clients look at.
func withoutPatch(version string) string {
	return patchVersion.ReplaceAllString(version, "$1.x")
}
