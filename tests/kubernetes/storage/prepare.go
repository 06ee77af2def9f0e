// Package storage runs the storage tests of k8s.io/apiserver, unchanged, against the
// server under test. They live in _test.go files beside the code they look into, so
// they cannot be imported; they are run where they are, in a copy of the module whose
// one changed file starts our server instead of an etcd inside the test.
package storage

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"taffrail.test/kubernetes/backend"
)

const replacedFile = "pkg/storage/etcd3/testserver/test_server.go"

// apiserver is the copied module and the go.mod that builds with it.
type apiserver struct {
	directory string
	modFile   string
	root      string
}

// prepare makes the copy unless it is there; its place is named after the version.
func prepare() (*apiserver, error) {
	root, err := backend.ModuleRoot()
	if err != nil {
		return nil, err
	}
	cache, err := backend.CacheDirectory()
	if err != nil {
		return nil, err
	}
	source, err := moduleDirectory(root, "k8s.io/apiserver")
	if err != nil {
		return nil, err
	}
	module := &apiserver{
		directory: filepath.Join(cache, "apiserver"),
		modFile:   filepath.Join(cache, "apiserver-tests.mod"),
		root:      root,
	}
	if err := module.copyFrom(source); err != nil {
		return nil, err
	}
	return module, module.writeModFile()
}

func moduleDirectory(root, path string) (string, error) {
	command := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", path)
	command.Dir = root
	command.Stderr = os.Stderr
	output, err := command.Output()
	if err != nil {
		return "", fmt.Errorf("where is module %s: %w", path, err)
	}
	return strings.TrimSpace(string(output)), nil
}

// copyFrom copies the module and puts our testserver in the place of its own. The copy
// takes its place when it is whole, so another run at the same time sees all or nothing.
func (a *apiserver) copyFrom(source string) error {
	ours, err := os.ReadFile(filepath.Join(a.root, "storage", "testserver", "testserver.go"))
	if err != nil {
		return err
	}
	if present, err := os.ReadFile(filepath.Join(a.directory, replacedFile)); err == nil && bytes.Equal(present, ours) {
		return nil
	}
	parent, err := os.MkdirTemp(filepath.Dir(a.directory), "apiserver-copy-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(parent)
	unfinished := filepath.Join(parent, "apiserver")
	// The module cache is read-only; the copy must not be.
	copying := exec.Command("cp", "-r", "--no-preserve=mode", source, unfinished)
	if output, err := copying.CombinedOutput(); err != nil {
		return fmt.Errorf("copy %s: %w: %s", source, err, output)
	}
	if err := os.WriteFile(filepath.Join(unfinished, replacedFile), ours, 0o644); err != nil {
		return err
	}
	if err := os.RemoveAll(a.directory); err != nil {
		return err
	}
	return os.Rename(unfinished, a.directory)
}

// writeModFile writes this module's go.mod with k8s.io/apiserver replaced by the copy.
func (a *apiserver) writeModFile() error {
	content, err := os.ReadFile(filepath.Join(a.root, "go.mod"))
	if err != nil {
		return err
	}
	const ours = "k8s.io/apiserver => "
	before, after, found := bytes.Cut(content, []byte(ours))
	if !found {
		return fmt.Errorf("go.mod has no replacement of k8s.io/apiserver")
	}
	_, rest, _ := bytes.Cut(after, []byte("\n"))
	changed := fmt.Appendf(nil, "%s%s%s\n%s", before, ours, a.directory, rest)
	if err := os.WriteFile(a.modFile, changed, 0o644); err != nil {
		return err
	}
	sums, err := os.ReadFile(filepath.Join(a.root, "go.sum"))
	if err != nil {
		return err
	}
	return os.WriteFile(strings.TrimSuffix(a.modFile, ".mod")+".sum", sums, 0o644)
}
