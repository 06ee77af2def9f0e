package parity

import "testing"

// unfit are the scripts that cannot hold for a cluster of several members, and why.
var unfit = map[string]string{
	"A3.7_quota": "every member runs out of space by itself and raises an alarm of its own, at a time of its own",
	"A8.2f_alarms_of_other_members_survive_restart": "an alarm that names a member may be of its quota: Taffrail's next leader, " +
		"which knows of no other, clears it within a second if there is room",
	"A8.4b_hash_at_the_compacted_revision": "whether etcd counts the compaction as finished depends on what a killed member has to replay",
	"A8.4c_hash_after_compacting_nothing":  "whether etcd remembers a compaction of nothing depends on what a killed member has to replay",
	"ctl_member_list_fields":               "the members are numbered in the order of ids that the server chose",
}

const countedOnTheLeader = "etcd counts an operation on every member, Taffrail on the one that decides it: the leader. " +
	"Followers are told what changed, not by which operations; what follows from the changes they count too"

// unfitForFollowers are the scripts that hold on the leader only, and why.
var unfitForFollowers = map[string]string{
	"A16.2_values":      countedOnTheLeader,
	"A16.2b_operations": countedOnTheLeader,
}

// skipUnfit leaves out a script that needs another kind of server than the one that is asked.
func skipUnfit(t *testing.T, name string) {
	if reason, listed := unfit[name]; listed && severalMembers() {
		t.Skipf("not with several members: %s", reason)
	}
	if reason, listed := unfitForFollowers[name]; listed && asksFollower() {
		t.Skipf("not on a follower: %s", reason)
	}
}
