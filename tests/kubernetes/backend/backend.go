// Package backend starts the servers under test, Taffrail or the control etcd, each as a
// process of its own with the flags that both understand.
package backend

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"taffrail.test/kubernetes/process"
)

// startLimit is how long a server may take until it is healthy.
const startLimit = 30 * time.Second

var errAddressInUse = errors.New("address already in use")

// Server is one member of the cluster under test. Its data directory outlives its process,
// so that it can be killed and started again.
type Server struct {
	// Name is the member's, in the cluster and in log files.
	Name string
	// Endpoint is the URL that clients dial; with TLS by the name localhost, which
	// is what test certificates are made out to.
	Endpoint string
	// Process is the server's present or last process.
	Process *process.Process

	kind      Kind
	binary    string
	directory string
	options   Options
	client    *http.Client
	listen    string
	peer      string
	// place is the member's own network; nil is that of the test.
	place *place
	// initialCluster is who belongs to the cluster, as the flag of that name wants it.
	initialCluster string
}

// sharedMemory is where Linux has files that are in memory only.
const sharedMemory = "/dev/shm"

// directory makes the directory of a server's data and log, which goes with the test.
func directory(t testing.TB, options Options) string {
	t.Helper()
	if _, err := os.Stat(sharedMemory); err != nil || !options.InMemory {
		return t.TempDir()
	}
	directory, err := os.MkdirTemp(sharedMemory, "kubernetes-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(directory) })
	return directory
}

func newServer(name, directory string, options Options) (*Server, error) {
	kind, err := Selected()
	if err != nil {
		return nil, err
	}
	binary, err := Binary(kind)
	if err != nil {
		return nil, err
	}
	transport := &http.Transport{TLSClientConfig: options.ClientTLS, DisableKeepAlives: true}
	client := &http.Client{Transport: transport, Timeout: 2 * time.Second}
	return &Server{Name: name, kind: kind, binary: binary, directory: directory, options: options, client: client}, nil
}

func (s *Server) cleanUp() {
	if s.Process != nil {
		s.Process.Kill()
	}
}

// prepareAnew empties the data directory and finds ports that are free now; another
// process may still take them before the server does, which is what errAddressInUse tells.
func (s *Server) prepareAnew() error {
	if err := os.RemoveAll(s.dataDirectory()); err != nil {
		return err
	}
	client, err := FreeAddress()
	if err != nil {
		return err
	}
	peer, err := FreeAddress()
	if err != nil {
		return err
	}
	if s.place != nil {
		client, peer = strings.Replace(client, loopback, s.place.address, 1), strings.Replace(peer, loopback, s.place.address, 1)
	}
	s.listen, s.Endpoint, s.peer = "http://"+client, "http://"+client, "http://"+peer
	if s.options.CertFile != "" {
		s.listen, s.Endpoint = "https://"+client, "https://"+strings.Replace(client, loopback, "localhost", 1)
	}
	return nil
}

// Restart starts the process (again) on the same data directory and the same
// addresses, and returns once it is healthy.
func (s *Server) Restart() error {
	if err := s.launch(); err != nil {
		return err
	}
	return s.untilHealthy()
}

func (s *Server) launch() (err error) {
	program, arguments := s.binary, s.arguments()
	if s.place != nil {
		program, arguments = s.place.command(program, arguments)
	}
	s.Process, err = process.Start(s.Name, s.directory, nil, program, arguments...)
	return err
}

func (s *Server) untilHealthy() error {
	context, cancel := context.WithTimeout(context.Background(), startLimit)
	defer cancel()
	for !s.healthy() {
		select {
		case <-s.Process.Exited():
			return s.startFailure("ended instead of starting")
		case <-context.Done():
			return s.startFailure(fmt.Sprintf("is not healthy after %s", startLimit))
		case <-time.After(10 * time.Millisecond):
		}
	}
	return nil
}

func (s *Server) startFailure(what string) error {
	tail := s.Process.LogTail(40)
	err := fmt.Errorf("%s %s: %s", s.binary, what, tail)
	if strings.Contains(strings.ToLower(tail), errAddressInUse.Error()) {
		return fmt.Errorf("%w: %w", errAddressInUse, err)
	}
	return err
}

func (s *Server) healthy() bool {
	response, err := s.client.Get(s.Endpoint + "/health")
	if err != nil {
		return false
	}
	defer response.Body.Close()
	return response.StatusCode == http.StatusOK
}

func (s *Server) dataDirectory() string {
	return filepath.Join(s.directory, "data")
}

func (s *Server) arguments() []string {
	arguments := []string{
		"--name=" + s.Name,
		"--data-dir=" + s.dataDirectory(),
		"--listen-client-urls=" + s.listen,
		"--advertise-client-urls=" + s.Endpoint,
	}
	if interval := s.options.ProgressNotifyInterval; interval != 0 {
		arguments = append(arguments, "--watch-progress-notify-interval="+interval.String())
	}
	if s.options.CertFile != "" {
		arguments = append(arguments, "--cert-file="+s.options.CertFile, "--key-file="+s.options.KeyFile)
	}
	if s.options.TrustedCAFile != "" {
		arguments = append(arguments, "--trusted-ca-file="+s.options.TrustedCAFile, "--client-cert-auth")
	}
	if s.kind != Taffrail || *membersFlag > 1 { // etcd opens a peer port even when alone
		arguments = append(arguments, s.peerArguments()...)
	}
	switch s.kind {
	case Dqlite:
		arguments = append(arguments, "--backend=dqlite")
	case Etcd:
		arguments = append(arguments, "--log-level=warn")
	}
	return arguments
}

// peerArguments say where the members of a cluster reach each other.
func (s *Server) peerArguments() []string {
	return []string{
		"--listen-peer-urls=" + s.peer,
		"--initial-advertise-peer-urls=" + s.peer,
		"--initial-cluster=" + s.initialCluster,
	}
}
