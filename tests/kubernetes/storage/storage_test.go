package storage

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"taffrail.test/kubernetes/backend"
)

const (
	storagePath = "k8s.io/apiserver/pkg/storage/"
	// goTestLimit bounds each package's run; a hanging server then shows where it hangs.
	goTestLimit = "5m"
)

// packages are those of k8s.io/apiserver whose tests start an etcd: the store itself,
// the watch cache over it, the factory with its health checks and TLS, and the generic
// registry and the lease reconciler, which use both as the API server does.
var packages = []string{
	storagePath + "etcd3",
	storagePath + "cacher",
	storagePath + "storagebackend/factory",
	"k8s.io/apiserver/pkg/registry/generic/registry",
	"k8s.io/apiserver/pkg/reconcilers",
}

// notRun names the exported functions that no test of ours needs to have run.
var notRun = map[string]string{
	"RunBenchmarkStoreListCreate": "a benchmark: it measures and asserts nothing",
	"RunBenchmarkStoreList":       "a benchmark: it measures and asserts nothing",
	"RunBenchmarkStoreStats":      "a benchmark: it measures and asserts nothing",
}

// skippedUpstream are subtests, less the two levels above them, that upstream's code skips whatever the server.
var skippedUpstream = map[string]string{
	"List/test_List_with_limit_at_resource_version_0":                    "the watch cache ignores limits at version 0",
	"List/test_List_with_limit_at_resource_version_0_match=NotOlderThan": "the watch cache ignores limits at version 0",
}

// TestStorage runs the packages once and gives every upstream test a subtest here.
func TestStorage(t *testing.T) {
	module, err := prepare()
	if err != nil {
		t.Fatal(err)
	}
	results := run(t, module)
	for _, pkg := range packages {
		t.Run(strings.TrimPrefix(pkg, "k8s.io/apiserver/pkg/"), func(t *testing.T) { reportPackage(t, results, pkg) })
	}
	t.Run("nothing else is skipped", func(t *testing.T) { checkSkipped(t, results) })
	t.Run("every Run function has run", func(t *testing.T) { checkComplete(t, module, results) })
}

func run(t *testing.T, module *apiserver) *results {
	t.Helper()
	environment, err := backend.Environment()
	if err != nil {
		t.Fatal(err)
	}
	arguments := append([]string{"test", "-modfile=" + module.modFile, "-mod=mod", "-json", "-count=1", "-p=2", "-timeout=" + goTestLimit}, packages...)
	command := exec.Command("go", arguments...)
	command.Dir = module.root
	command.Env = append(os.Environ(), environment...)
	command.Stderr = os.Stderr
	output, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	results, err := readResults(output)
	if err != nil {
		t.Fatal(err)
	}
	_ = command.Wait() // a failure is told by the results, test by test
	return results
}

func reportPackage(t *testing.T, results *results, pkg string) {
	tests := results.topLevel(pkg)
	whole := results.entry(name{pkg, ""})
	t.Logf("%d tests in %.0f s", len(tests), whole.Seconds)
	for _, test := range tests {
		result := results.all[name{pkg, test}]
		t.Run(test, func(t *testing.T) {
			if result.Action != "pass" {
				t.Errorf("upstream's %s: %q after %.1f s\n%s", test, result.Action, result.Seconds, results.account(pkg, test))
			}
		})
	}
	if len(tests) == 0 || whole.Action != "pass" {
		t.Errorf("the package's run: %q with %d tests\n%s%s", whole.Action, len(tests), shortened(results.build.String()), shortened(whole.Output.String()))
	}
}

func checkSkipped(t *testing.T, results *results) {
	for _, skipped := range results.skipped() {
		_, subtest, _ := strings.Cut(skipped.Test, "/") // the rest after TestLists
		_, subtest, _ = strings.Cut(subtest, "/")       // and after the feature gates
		if skippedUpstream[subtest] == "" {
			t.Errorf("%s of %s skipped itself:\n%s", skipped.Test, skipped.Package, results.account(skipped.Package, skipped.Test))
		}
	}
}

// checkComplete asserts that each exported Run* function was called by tests that
// passed: through the raw store, the watch cache, or both as upstream has it.
func checkComplete(t *testing.T, module *apiserver, results *results) {
	storage := filepath.Join(module.directory, "pkg", "storage")
	functions, err := runFunctions(filepath.Join(storage, "testing"))
	if err != nil {
		t.Fatal(err)
	}
	ran := map[string][]string{}
	for _, layer := range []string{"etcd3", "cacher"} {
		tests, err := callers(filepath.Join(storage, layer))
		if err != nil {
			t.Fatal(err)
		}
		for function, tests := range tests {
			ran[function] = append(ran[function], layer)
			requirePassed(t, results, storagePath+layer, function, tests)
		}
	}
	for _, function := range functions {
		if reason := notRun[function]; reason != "" {
			t.Logf("%s: not run: %s", function, reason)
			continue
		}
		t.Logf("%s: %s", function, strings.Join(ran[function], ", "))
		if len(ran[function]) == 0 {
			t.Errorf("no test of upstream's calls the exported function %s", function)
		}
	}
	for function := range notRun {
		if !slices.Contains(functions, function) {
			t.Errorf("%s is listed as not run but is not exported any more", function)
		}
	}
}

func requirePassed(t *testing.T, results *results, pkg, function string, tests []string) {
	t.Helper()
	for _, test := range tests {
		result := results.all[name{pkg, test}]
		if result == nil {
			t.Errorf("%s: %s of %s did not run", function, test, pkg)
		} else if result.Action != "pass" {
			t.Errorf("%s: %s of %s: %q", function, test, pkg, result.Action)
		}
	}
}
