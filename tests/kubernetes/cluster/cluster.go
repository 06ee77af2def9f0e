// Package cluster runs a whole Kubernetes control plane on the server under test: a
// real kube-apiserver, kube-controller-manager and kube-scheduler, with nodes and
// kubelets that only say what real ones would.
package cluster

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"taffrail.test/kubernetes/backend"
	"taffrail.test/kubernetes/process"
)

const (
	// eventTTL is how long events live; apiserver grants leases of 5 % more.
	eventTTL = 20 * time.Second
	// compactionInterval makes apiserver compact several times during the test.
	compactionInterval = 30 * time.Second
	// consistencyCheckPeriod is how often each watch cache is compared with the store.
	consistencyCheckPeriod = 20 * time.Second
	// progressNotifyInterval is what kubeadm gives etcd.
	progressNotifyInterval = 5 * time.Second

	// advertisedAddress stands in the endpoints of the service "kubernetes", which may
	// not be of the loopback range; nobody connects to it.
	advertisedAddress = "192.0.2.1"

	readyLimit = 90 * time.Second
)

// Cluster is a running control plane and the clients that the test uses.
type Cluster struct {
	Backend   *backend.Cluster
	APIServer *process.Process
	// Components are all processes but the backend, in the order they must end.
	Components []*process.Process

	Client  kubernetes.Interface
	Dynamic dynamic.Interface
	Config  *rest.Config

	directory  string
	authority  *authority
	server     identity
	tokens     identity
	kubeconfig string
}

// Start brings the control plane up. Everything ends with the test, whose failure
// prints what every component said last.
func Start(t *testing.T) *Cluster {
	t.Helper()
	c := &Cluster{directory: t.TempDir()}
	t.Cleanup(func() { c.end(t) })
	c.Backend = backend.Start(t, backend.Options{ProgressNotifyInterval: progressNotifyInterval, OwnNetwork: true})
	for _, step := range []func() error{c.makeIdentities, c.startAPIServer, c.startControllers} {
		if err := step(); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

func (c *Cluster) end(t *testing.T) {
	for _, component := range c.Components {
		component.Kill()
	}
	if t.Failed() {
		t.Log(c.logTails(60))
	}
}

func (c *Cluster) logTails(lines int) string {
	tails := ""
	if c.Backend != nil { // which is what did not start
		tails = c.Backend.LogTail(lines)
	}
	for _, component := range c.Components {
		tails += component.LogTail(lines)
	}
	return tails
}

func (c *Cluster) makeIdentities() error {
	var err error
	if c.authority, err = newAuthority(c.directory); err != nil {
		return err
	}
	if c.server, err = c.authority.issue("apiserver", "kube-apiserver"); err != nil {
		return err
	}
	c.tokens, err = c.authority.issue("service-accounts", "service-accounts")
	return err
}

func (c *Cluster) startAPIServer() error {
	address, err := backend.FreeAddress()
	if err != nil {
		return err
	}
	c.APIServer, err = c.runAPIServer("kube-apiserver", address)
	if err != nil {
		return err
	}
	if c.kubeconfig, err = c.writeKubeconfig("admin", "admin", address, "system:masters"); err != nil {
		return err
	}
	if c.Config, err = clientConfig(c.kubeconfig); err != nil {
		return err
	}
	if c.Client, err = kubernetes.NewForConfig(c.Config); err != nil {
		return err
	}
	if c.Dynamic, err = dynamic.NewForConfig(c.Config); err != nil {
		return err
	}
	return c.untilReady(c.APIServer, c.Client)
}

// clientConfig is a kubeconfig's, without the client's own throttling, which would
// hide how quick the server is.
func clientConfig(kubeconfig string) (*rest.Config, error) {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, err
	}
	config.QPS = -1
	return config, nil
}

// runAPIServer starts a kube-apiserver with the flags that all of this test's share.
func (c *Cluster) runAPIServer(name, address string, more ...string) (*process.Process, error) {
	binary, err := backend.KubernetesBinary("kube-apiserver")
	if err != nil {
		return nil, err
	}
	host, port := splitAddress(address)
	environment := []string{
		"KUBE_WATCHCACHE_CONSISTENCY_CHECKER=true",
		"KUBE_PANIC_WATCH_DECODE_ERROR=true",
		"CONSISTENCY_CHECK_PERIOD=" + consistencyCheckPeriod.String(),
	}
	arguments := append([]string{
		"--etcd-servers=" + strings.Join(c.Backend.Endpoints(), ","),
		"--etcd-compaction-interval=" + compactionInterval.String(),
		"--event-ttl=" + eventTTL.String(),
		"--bind-address=" + host,
		"--secure-port=" + port,
		"--advertise-address=" + advertisedAddress,
		"--tls-cert-file=" + c.server.certFile,
		"--tls-private-key-file=" + c.server.keyFile,
		"--client-ca-file=" + c.authority.certFile(),
		"--requestheader-client-ca-file=" + c.authority.certFile(),
		"--requestheader-allowed-names=nobody",
		"--requestheader-username-headers=X-Remote-User",
		"--requestheader-group-headers=X-Remote-Group",
		"--requestheader-extra-headers-prefix=X-Remote-Extra-",
		"--service-cluster-ip-range=10.0.0.0/16",
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-key-file=" + c.tokens.certFile,
		"--service-account-signing-key-file=" + c.tokens.keyFile,
		"--authorization-mode=RBAC",
		"--endpoint-reconciler-type=lease",
		"--allow-privileged=true",
	}, more...)
	started, err := process.Start(name, c.directory, environment, binary, arguments...)
	if err == nil {
		c.Components = append([]*process.Process{started}, c.Components...)
	}
	return started, err
}

// untilReady waits until an API server says that it is ready, its own hooks included.
func (c *Cluster) untilReady(server *process.Process, client kubernetes.Interface) error {
	ctx, cancel := context.WithTimeout(context.Background(), readyLimit)
	defer cancel()
	for {
		answer, err := client.Discovery().RESTClient().Get().AbsPath("/readyz").DoRaw(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-server.Exited():
			return fmt.Errorf("%s ended instead of getting ready\n%s", server.Name, server.LogTail(60))
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready after %s: %v: %s\n%s", server.Name, readyLimit, err, answer, server.LogTail(60))
		case <-time.After(200 * time.Millisecond):
		}
	}
}

func (c *Cluster) startControllers() error {
	endpoint := c.Config.Host
	for _, component := range []struct {
		name, user string
		arguments  []string
	}{
		{"kube-controller-manager", "system:kube-controller-manager", []string{
			"--service-account-private-key-file=" + c.tokens.keyFile,
			"--root-ca-file=" + c.authority.certFile(),
			"--kube-api-qps=200", "--kube-api-burst=400",
		}},
		{"kube-scheduler", "system:kube-scheduler", []string{"--kube-api-qps=200", "--kube-api-burst=400"}},
	} {
		if err := c.startController(component.name, component.user, endpoint, component.arguments); err != nil {
			return err
		}
	}
	return nil
}

// startController starts a component that elects a leader by a lease. Its deadlines
// are longer than a backend that is killed stays away, or it would end itself.
func (c *Cluster) startController(name, user, endpoint string, more []string) error {
	// Both act for others, whose rights RBAC would give them one by one.
	kubeconfig, err := c.writeKubeconfig(name, user, addressOf(endpoint), "system:masters")
	if err != nil {
		return err
	}
	binary, err := backend.KubernetesBinary(name)
	if err != nil {
		return err
	}
	address, err := backend.FreeAddress()
	if err != nil {
		return err
	}
	host, port := splitAddress(address)
	arguments := append([]string{
		"--kubeconfig=" + kubeconfig,
		"--authentication-kubeconfig=" + kubeconfig,
		"--authorization-kubeconfig=" + kubeconfig,
		"--bind-address=" + host,
		"--secure-port=" + port,
		"--cert-dir=" + filepath.Join(c.directory, name),
		"--leader-elect-lease-duration=60s",
		"--leader-elect-renew-deadline=40s",
	}, more...)
	started, err := process.Start(name, c.directory, nil, binary, arguments...)
	if err == nil {
		c.Components = append([]*process.Process{started}, c.Components...)
	}
	return err
}

// writeKubeconfig makes a client certificate and a kubeconfig that names it.
func (c *Cluster) writeKubeconfig(name, user, address, group string) (string, error) {
	client, err := c.authority.issue(name+"-client", user, group)
	if err != nil {
		return "", err
	}
	config := clientcmdapi.NewConfig()
	config.Clusters["test"] = &clientcmdapi.Cluster{Server: "https://" + address, CertificateAuthority: c.authority.certFile()}
	config.AuthInfos["user"] = &clientcmdapi.AuthInfo{ClientCertificate: client.certFile, ClientKey: client.keyFile}
	config.Contexts["test"] = &clientcmdapi.Context{Cluster: "test", AuthInfo: "user"}
	config.CurrentContext = "test"
	path := filepath.Join(c.directory, name+".kubeconfig")
	return path, clientcmd.WriteToFile(*config, path)
}
