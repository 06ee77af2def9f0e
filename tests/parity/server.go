package parity

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

var (
	target  = flag.String("target", "taffrail", "what is compared with etcd: taffrail, or etcd itself (do the scripts repeat?)")
	verbose = flag.Bool("transcript", false, "print the reference's transcript of every script")
)

// Flavour is a kind of server under test.
type Flavour struct {
	Name   string
	Binary string
}

func (f Flavour) String() string { return f.Name }

// etcdFlavour is the reference, built by build.sh.
func etcdFlavour() Flavour {
	return Flavour{Name: "etcd", Binary: filepath.Join(peersDir(), "etcd")}
}

// targetFlavour is what the -target flag asks for.
func targetFlavour() Flavour {
	if *target == "etcd" {
		return etcdFlavour()
	}
	binary := os.Getenv("TAFFRAIL_BIN")
	if binary == "" {
		binary = "../../target/release/taffrail"
	}
	return Flavour{Name: "taffrail", Binary: binary}
}

// Options are what a script asks of its server beyond the defaults.
type Options struct {
	// Flags are added to the command line, on both servers. METRICS_PORT stands for
	// Server.MetricsPort.
	Flags []string
	// Environment is added to the environment.
	Environment []string
	// ConfigFile gives all flags in a file instead of on the command line.
	ConfigFile bool
	// Timeout bounds the script; 0 means scriptTimeout.
	Timeout time.Duration
	// TLS makes the server require client certificates of its own authority.
	TLS bool
}

// startTimeout is how long a server or a cluster may take until it is healthy.
const startTimeout = 20 * time.Second

// Server is one running process with a data directory of its own.
type Server struct {
	Flavour     Flavour
	Name        string
	Dir         string
	ClientPort  string
	PeerPort    string
	MetricsPort string
	PKI         *authority

	// initialCluster is who belongs to the cluster, as the flag of that name wants it.
	initialCluster string

	options Options
	log     *os.File
	process *exec.Cmd
	exited  chan struct{}
}

// Start runs the process, also again after Kill or Stop, on the same directory, and waits
// until it is healthy.
func (s *Server) Start(ctx context.Context) error {
	if err := s.launch(); err != nil {
		return err
	}
	return s.awaitHealth(ctx)
}

// launch runs the process and does not wait.
func (s *Server) launch() error {
	arguments := s.arguments()
	if s.options.ConfigFile {
		var err error
		if arguments, err = s.configFile(arguments); err != nil {
			return err
		}
	}
	s.process = exec.Command(s.Flavour.Binary, arguments...)
	s.process.Env = append(os.Environ(), s.options.Environment...)
	s.process.Stdout, s.process.Stderr = s.log, s.log
	s.process.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := s.process.Start(); err != nil {
		return fmt.Errorf("%s does not start (is it built?): %w", s.Flavour.Binary, err)
	}
	exited := make(chan struct{})
	s.exited = exited
	go func(process *exec.Cmd) { _ = process.Wait(); close(exited) }(s.process)
	return nil
}

// arguments is etcd's own command line; Taffrail is started with the same.
func (s *Server) arguments() []string {
	arguments := []string{
		"--name", s.Name,
		"--data-dir", filepath.Join(s.Dir, "data"),
		"--listen-client-urls", s.URL(),
		"--advertise-client-urls", s.URL(),
		"--listen-peer-urls", s.peerURL(),
		"--initial-advertise-peer-urls", s.peerURL(),
		"--initial-cluster", s.initialCluster,
	}
	if s.Flavour.Name == "taffrail" && *backend != "" {
		arguments = append(arguments, "--backend", *backend)
	}
	if s.Flavour.Name == "etcd" {
		// Durability is not what is compared here, and the disk is shared.
		arguments = append(arguments, "--unsafe-no-fsync")
	}
	if s.PKI != nil {
		arguments = append(arguments, s.PKI.serverFlags()...)
	}
	for _, flag := range s.options.Flags {
		arguments = append(arguments, strings.ReplaceAll(flag, "METRICS_PORT", s.MetricsPort))
	}
	return arguments
}

// configFile writes the flags as YAML and returns the only flag that is left.
func (s *Server) configFile(arguments []string) ([]string, error) {
	var text strings.Builder
	for i := 0; i < len(arguments); i++ {
		name, value := strings.TrimPrefix(arguments[i], "--"), "true"
		if i+1 < len(arguments) && !strings.HasPrefix(arguments[i+1], "--") {
			i, value = i+1, arguments[i+1]
		}
		fmt.Fprintf(&text, "%s: %s\n", name, value)
	}
	path := filepath.Join(s.Dir, "config.yaml")
	return []string{"--config-file", path}, os.WriteFile(path, []byte(text.String()), 0o600)
}

func (s *Server) peerURL() string { return "http://127.0.0.1:" + s.PeerPort }

// URL is the client URL.
func (s *Server) URL() string {
	scheme := "http"
	if s.PKI != nil {
		scheme = "https"
	}
	return scheme + "://" + s.Address()
}

// Address is host:port of the client listener.
func (s *Server) Address() string { return "127.0.0.1:" + s.ClientPort }

// TLS is the configuration of a client that the server trusts; nil without TLS.
func (s *Server) TLS() *tls.Config {
	if s.PKI == nil {
		return nil
	}
	return s.PKI.clientConfig()
}

// httpClient is a client for the harness' own questions, which opens a connection for each.
func (s *Server) httpClient() *http.Client {
	return &http.Client{Transport: &http.Transport{TLSClientConfig: s.TLS(), DisableKeepAlives: true}, Timeout: 2 * time.Second}
}

// awaitHealth waits until the server serves; an alarm may be raised all the same.
func (s *Server) awaitHealth(ctx context.Context) error {
	client := s.httpClient()
	deadline := time.After(startTimeout)
	for {
		if response, err := client.Get(s.URL() + "/health?exclude=NOSPACE&exclude=CORRUPT"); err == nil {
			response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-s.exited:
			return fmt.Errorf("%s ended before it was healthy\n%s", s.Flavour, s.LogTail())
		case <-deadline:
			return fmt.Errorf("%s does not answer GET /health\n%s", s.Flavour, s.LogTail())
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Kill ends the process without a chance to say goodbye.
func (s *Server) Kill() { s.end(syscall.SIGKILL) }

// Stop asks the process to end and waits until it did.
func (s *Server) Stop() { s.end(syscall.SIGTERM) }

func (s *Server) end(signal syscall.Signal) {
	if s.exited == nil {
		return
	}
	_ = s.process.Process.Signal(signal)
	select {
	case <-s.exited:
	case <-time.After(15 * time.Second):
		_ = s.process.Process.Kill()
		<-s.exited
	}
}

// LogTail is the end of what the process printed.
func (s *Server) LogTail() string {
	text, err := os.ReadFile(s.log.Name())
	if err != nil {
		return err.Error()
	}
	lines := bytes.Split(bytes.TrimSpace(text), []byte("\n"))
	return string(bytes.Join(lines[max(0, len(lines)-20):], []byte("\n")))
}

// handedOut remembers ports, so that parallel scripts do not get the same one
// between its choice and the start of the server.
var handedOut sync.Map

// The ports of servers lie below those that Linux gives to outgoing connections: one of
// those could take a server's port while it is being restarted.
const (
	firstPort = 12000
	lastPort  = 32000
)

func freePorts(count int) ([]string, error) {
	var ports []string
	for range 1000 {
		port := strconv.Itoa(firstPort + rand.IntN(lastPort-firstPort))
		listener, err := net.Listen("tcp", "127.0.0.1:"+port)
		if err != nil {
			continue
		}
		listener.Close()
		if _, taken := handedOut.LoadOrStore(port, true); !taken {
			ports = append(ports, port)
		}
		if len(ports) == count {
			return ports, nil
		}
	}
	return nil, errors.New("no free ports")
}

// peersDir is where build.sh puts etcd and etcdctl; TestMain sets it.
var peers string

func peersDir() string { return peers }

// buildPeers runs build.sh, which does nothing when the binaries are there.
func buildPeers() error {
	command := exec.Command("./build.sh")
	command.Stderr = os.Stderr
	output, err := command.Output()
	peers = strings.TrimSpace(string(output))
	return err
}
