package parity

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"strconv"
	"testing"
)

// parallelScripts is how many scripts run at a time on servers that are alone: they wait more
// than they compute.
const parallelScripts = 8

func TestMain(m *testing.M) {
	flag.Parse()
	if err := errors.Join(prepare(), keepDataInMemory()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// prepare fails loudly when one of the servers is missing.
func prepare() error {
	if err := checkMembers(); err != nil {
		return err
	}
	if err := buildPeers(); err != nil {
		return fmt.Errorf("build.sh: %w", err)
	}
	for _, flavour := range []Flavour{etcdFlavour(), targetFlavour()} {
		if _, err := os.Stat(flavour.Binary); err != nil {
			return fmt.Errorf("no %s to test: %w (set TAFFRAIL_BIN, or build it with cargo build --release; -target=etcd runs without it)", flavour, err)
		}
	}
	return raiseParallelism()
}

// raiseParallelism changes go test's default, not what the user asked for.
func raiseParallelism() error {
	asked := false
	flag.Visit(func(f *flag.Flag) { asked = asked || f.Name == "test.parallel" })
	if asked {
		return nil
	}
	return flag.Set("test.parallel", strconv.Itoa((parallelScripts+*memberCount-1) / *memberCount))
}
