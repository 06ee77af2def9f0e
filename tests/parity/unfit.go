package parity

import "testing"

// unfit are the scripts that cannot hold for a cluster of several members, and why.
var unfit = map[string]string{
	"ctl_member_list_fields": "the members are numbered in the order of ids that the server chose",
}

// skipUnfit leaves out a script that needs a server that is alone.
func skipUnfit(t *testing.T, name string) {
	if reason, listed := unfit[name]; listed && severalMembers() {
		t.Skipf("not with several members: %s", reason)
	}
}
