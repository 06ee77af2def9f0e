package cluster

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	"taffrail.test/kubernetes/backend"
)

const kubectlLimit = 90 * time.Second

// Kubectl runs kubectl with a manifest (or nothing) on its input and returns what it
// prints; anything but success fails the test.
func (c *Cluster) Kubectl(t testing.TB, input string, arguments ...string) string {
	t.Helper()
	output, err := c.TryKubectl(input, arguments...)
	if err != nil {
		t.Fatal(err)
	}
	return output
}

// TryKubectl is Kubectl for commands that may fail.
func (c *Cluster) TryKubectl(input string, arguments ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), kubectlLimit)
	defer cancel()
	command, err := c.KubectlCommand(ctx, arguments...)
	if err != nil {
		return "", err
	}
	command.Stdin = strings.NewReader(input)
	output, err := command.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("kubectl %s: %w\n%s", strings.Join(arguments, " "), err, output)
	}
	return string(output), err
}

// KubectlCommand is a kubectl that the caller runs, for as long as ctx lasts.
func (c *Cluster) KubectlCommand(ctx context.Context, arguments ...string) (*exec.Cmd, error) {
	binary, err := backend.KubernetesBinary("kubectl")
	if err != nil {
		return nil, err
	}
	command := exec.CommandContext(ctx, binary, append([]string{"--kubeconfig=" + c.kubeconfig}, arguments...)...)
	command.Env = append(command.Environ(), "HOME="+c.directory) // its caches go there
	return command, nil
}
