package backend

import (
	"fmt"
	"os/exec"
	"regexp"
	"strings"
)

// partitionRules drop, without a word to either side, what comes from the peers and what
// goes to them, of connections that exist and of new ones. Clients have other addresses.
const partitionRules = `table inet partition {
	chain input { type filter hook input priority 0; policy accept; ip saddr { %[1]s } counter drop; }
	chain output { type filter hook output priority 0; policy accept; ip daddr { %[1]s } counter drop; }
}
`

var droppedPackets = regexp.MustCompile(`counter packets (\d+)`)

// CutOff lets nothing through any more between this member and the others; clients reach
// all of them as before. It takes Options.OwnNetwork.
func (c *Cluster) CutOff(server *Server) error {
	if server.place == nil {
		return fmt.Errorf("%s has no network of its own to be cut off in", server.Name)
	}
	var peers []string
	for _, member := range c.Members {
		if member != server {
			peers = append(peers, member.place.address)
		}
	}
	return server.place.run(fmt.Sprintf(partitionRules, strings.Join(peers, ", ")), "nft", "-f", "-")
}

// Heal ends CutOff. It is an error if nothing was dropped on the way in, or nothing on the
// way out: that was no partition.
func (s *Server) Heal() error {
	program, arguments := s.place.command("nft", []string{"list", "table", "inet", "partition"})
	rules, err := exec.Command(program, arguments...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("nft: %w: %s", err, rules)
	}
	if err := s.place.run("", "nft", "delete", "table", "inet", "partition"); err != nil {
		return err
	}
	dropped := droppedPackets.FindAllSubmatch(rules, -1)
	if len(dropped) != 2 || string(dropped[0][1]) == "0" || string(dropped[1][1]) == "0" {
		return fmt.Errorf("%s was not cut off both ways:\n%s", s.Name, rules)
	}
	return nil
}
