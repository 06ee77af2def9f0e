package backend

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// insideVariable is set where the test has its own network.
const insideVariable = "KUBERNETES_TEST_IN_OWN_NETWORK"

// networkPrograms are what the network is made with; `make deps` installs what of them is
// not on every Debian.
var networkPrograms = []string{"unshare", "nsenter", "ip", "nft"}

// placeLimit is how long the kernel may take for a network namespace.
const placeLimit = 30 * time.Second

// EnterOwnNetwork puts this test binary into a network namespace of its own if several
// members are under test: it starts itself there anew, in the same process, before any test
// has run. Members are cut off from each other there. Whatever that takes is gone with the
// process, however it ends, and no other process of the machine sees any of it.
func EnterOwnNetwork() error {
	if *membersFlag == 1 || os.Getenv(insideVariable) != "" {
		return nil
	}
	if err := os.Setenv("PATH", os.Getenv("PATH")+":/usr/sbin:/sbin"); err != nil {
		return err
	}
	for _, program := range networkPrograms {
		if _, err := exec.LookPath(program); err != nil {
			return fmt.Errorf("several members are partitioned with %s: %w: run `make deps`", program, err)
		}
	}
	executable, err := os.Executable()
	if err != nil {
		return err
	}
	arguments := []string{"unshare", "--net"}
	if os.Getuid() != 0 {
		arguments = append(arguments, "--user", "--map-root-user")
	}
	arguments = append(append(arguments, executable), os.Args[1:]...)
	unshare, err := exec.LookPath(arguments[0])
	if err != nil {
		return err
	}
	return syscall.Exec(unshare, arguments, append(os.Environ(), insideVariable+"=1"))
}

// network is one bridge with the test at one end and each member in a namespace of its own.
type network struct {
	places []*place
}

// place is where one member has its own network: an address on the bridge.
type place struct {
	address string
	// holder is a process that keeps the namespace, over all restarts of the member.
	holder *exec.Cmd
}

// newNetwork makes places for some members. They go with the test.
func newNetwork(t testing.TB, members int) *network {
	t.Helper()
	if os.Getenv(insideVariable) == "" {
		t.Fatal("the network must be our own: TestMain calls EnterOwnNetwork")
	}
	network := &network{}
	t.Cleanup(network.release)
	steps := []string{
		"link set lo up",
		"link add hub type bridge",
		"address add 10.77.0.254/24 dev hub",
		"link set hub up",
	}
	for _, step := range steps {
		if err := run("", "ip", strings.Fields(step)...); err != nil {
			t.Fatal(err)
		}
	}
	for range members {
		if err := network.add(); err != nil {
			t.Fatal(err)
		}
	}
	return network
}

func (n *network) release() {
	for _, place := range n.places {
		_ = place.holder.Process.Kill()
		_ = place.holder.Wait()
	}
}

func (n *network) add() error {
	number := len(n.places) + 1
	holder := exec.Command("unshare", "--net", "sleep", "infinity")
	holder.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := holder.Start(); err != nil {
		return err
	}
	place := &place{address: fmt.Sprintf("10.77.0.%d", number), holder: holder}
	n.places = append(n.places, place)
	if err := place.awaitNamespace(); err != nil {
		return err
	}
	cable := fmt.Sprintf("member%d", number)
	outside := []string{
		"link add " + cable + " type veth peer name eth0 netns " + place.pid(),
		"link set " + cable + " master hub up",
	}
	for _, step := range outside {
		if err := run("", "ip", strings.Fields(step)...); err != nil {
			return err
		}
	}
	for _, step := range []string{"link set lo up", "address add " + place.address + "/24 dev eth0", "link set eth0 up"} {
		if err := place.run("", append([]string{"ip"}, strings.Fields(step)...)...); err != nil {
			return err
		}
	}
	return nil
}

func (p *place) pid() string { return strconv.Itoa(p.holder.Process.Pid) }

// awaitNamespace waits for the holder: it is in its namespace a moment after it was started.
func (p *place) awaitNamespace() error {
	ours, err := os.Readlink("/proc/self/ns/net")
	if err != nil {
		return err
	}
	for deadline := time.Now().Add(placeLimit); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		theirs, err := os.Readlink(filepath.Join("/proc", p.pid(), "ns/net"))
		if err == nil && theirs != ours {
			return nil
		}
	}
	return fmt.Errorf("no network namespace after %s: it takes root, or user namespaces", placeLimit)
}

// command is how a program is started in the place. nsenter becomes that program, so that
// its process is the program's.
func (p *place) command(program string, arguments []string) (string, []string) {
	return "nsenter", append([]string{"--net=/proc/" + p.pid() + "/ns/net", program}, arguments...)
}

func (p *place) run(input string, command ...string) error {
	program, arguments := p.command(command[0], command[1:])
	return run(input, program, arguments...)
}

func run(input, program string, arguments ...string) error {
	command := exec.Command(program, arguments...)
	command.Stdin = strings.NewReader(input)
	if said, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w: %s", program, strings.Join(arguments, " "), err, said)
	}
	return nil
}
