package backend

import (
	"crypto/tls"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Environment variables that choose the server under test. The flag -backend comes
// before the first; the test binaries of other modules know only the variables.
const (
	kindVariable      = "KUBERNETES_TEST_BACKEND"
	membersVariable   = "KUBERNETES_TEST_MEMBERS"
	binaryVariable    = "TAFFRAIL_BIN"
	directoryVariable = "KUBERNETES_BINARIES"
)

// Kind names a server that can stand behind kube-apiserver.
type Kind string

const (
	// Taffrail is the server these tests are for. One member keeps its log on SQLite,
	// several on Dqlite.
	Taffrail Kind = "taffrail"
	// Dqlite is Taffrail with its log on Dqlite, also when it is alone.
	Dqlite Kind = "taffrail-dqlite"
	// Etcd is the control: what fails with it too is a fault of the tests.
	Etcd Kind = "etcd"
)

var kindFlag = flag.String("backend", defaultKind(), "server under test: taffrail, taffrail-dqlite or etcd (the control)")

// membersFlag is how many servers form the cluster under test.
var membersFlag = flag.Int("members", defaultMembers(), "servers in the cluster under test: 1 or 3")

func defaultMembers() int {
	count, err := strconv.Atoi(os.Getenv(membersVariable))
	if err != nil {
		return 1
	}
	return count
}

func defaultKind() string {
	if kind := os.Getenv(kindVariable); kind != "" {
		return kind
	}
	return string(Taffrail)
}

// Options say how a server is started. The zero value is a plain-text server on a
// free port of 127.0.0.1.
type Options struct {
	// ProgressNotifyInterval is the period of progress notifications; 0 leaves the
	// server's default.
	ProgressNotifyInterval time.Duration
	// CertFile, KeyFile and TrustedCAFile make it a TLS server that demands client
	// certificates; ClientTLS is then how to reach it.
	CertFile, KeyFile, TrustedCAFile string
	ClientTLS                        *tls.Config
	// InMemory puts the data directory into memory where the system has a place for
	// that. Upstream's storage tests allow 100 ms for a write, which a disk shared with
	// others does not always keep. Nothing may be claimed about durability then.
	InMemory bool
	// OwnNetwork gives each of several members an address and a network namespace of its
	// own, so that CutOff can part them. TestMain must have called EnterOwnNetwork.
	OwnNetwork bool
}

// Selected is the kind of server that -backend or KUBERNETES_TEST_BACKEND asks for.
func Selected() (Kind, error) {
	switch kind := Kind(*kindFlag); kind {
	case Taffrail, Dqlite, Etcd:
		return kind, nil
	default:
		return "", fmt.Errorf("unknown backend %q: want taffrail, taffrail-dqlite or etcd", kind)
	}
}

// Environment carries this process' choice of server to a test binary of another
// module, which runs in another directory.
func Environment() ([]string, error) {
	kind, err := Selected()
	if err != nil {
		return nil, err
	}
	binary, err := Binary(kind)
	if err != nil {
		return nil, err
	}
	variable := binaryVariable
	if kind == Etcd {
		variable, binary = directoryVariable, filepath.Dir(binary)
	}
	members := membersVariable + "=" + strconv.Itoa(*membersFlag)
	return []string{kindVariable + "=" + string(kind), members, variable + "=" + binary}, nil
}

// Binary is the absolute path of the server's executable.
func Binary(kind Kind) (string, error) {
	if kind == Etcd {
		return KubernetesBinary("etcd")
	}
	path := os.Getenv(binaryVariable)
	if path == "" {
		root, err := ModuleRoot()
		if err != nil {
			return "", err
		}
		path = filepath.Join(root, "..", "..", "target", "release", "taffrail")
	}
	return existing(path, "build it with `make build`, or name another in "+binaryVariable)
}

// KubernetesBinary is the absolute path of a command that build.sh makes.
func KubernetesBinary(name string) (string, error) {
	directory := os.Getenv(directoryVariable)
	if directory == "" {
		cache, err := CacheDirectory()
		if err != nil {
			return "", err
		}
		directory = cache
	}
	return existing(filepath.Join(directory, name), "run tests/kubernetes/build.sh")
}

func existing(path, remedy string) (string, error) {
	absolute, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(absolute); err != nil {
		return "", fmt.Errorf("%w: %s", err, remedy)
	}
	return absolute, nil
}

// CacheDirectory is where build.sh puts what it builds: <repository>/.cache/kubernetes/<version>.
func CacheDirectory() (string, error) {
	root, err := ModuleRoot()
	if err != nil {
		return "", err
	}
	version, err := KubernetesVersion(root)
	if err != nil {
		return "", err
	}
	return filepath.Abs(filepath.Join(root, "..", "..", ".cache", "kubernetes", version))
}

// ModuleRoot is the directory of this module's go.mod, at or above the working
// directory, which for a test is the directory of its package.
func ModuleRoot() (string, error) {
	directory, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(directory, "go.mod")); err == nil {
			return directory, nil
		}
		parent := filepath.Dir(directory)
		if parent == directory {
			return "", fmt.Errorf("no go.mod above the working directory")
		}
		directory = parent
	}
}

// KubernetesVersion is the version of k8s.io/kubernetes that the module at root requires.
func KubernetesVersion(root string) (string, error) {
	content, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(content)) {
		if _, version, found := strings.Cut(line, "k8s.io/kubernetes v"); found {
			return "v" + strings.TrimSpace(version), nil
		}
	}
	return "", fmt.Errorf("%s/go.mod does not require k8s.io/kubernetes", root)
}
