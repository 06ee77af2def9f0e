package storage

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const coverageExample = `package example

import storagetesting "k8s.io/apiserver/pkg/storage/testing"

func RunTestPlain(t *testing.T, store storage.Interface)                {}
func RunTestTransformed(t *testing.T, store InterfaceWithTransformer)   {}
func RunTestOfSomethingElse(t *testing.T, store int)                    {}
func runUnexported(t *testing.T, store storage.Interface)               {}
func TestPlain(t *testing.T)   { t.Run("a", func(t *testing.T) { storagetesting.RunTestPlain(t, nil) }) }
func BenchmarkIt(b *testing.B) { storagetesting.RunTestTransformed(b, nil) }
`

// TestCoverageIsSeen shows what counts as a Run function and as a test that calls it.
func TestCoverageIsSeen(t *testing.T) {
	directory := t.TempDir()
	if err := os.WriteFile(filepath.Join(directory, "example_test.go"), []byte(coverageExample), 0o644); err != nil {
		t.Fatal(err)
	}
	functions, err := runFunctions(directory)
	if err != nil {
		t.Fatal(err)
	}
	if wanted := []string{"RunTestPlain", "RunTestTransformed"}; !slices.Equal(functions, wanted) {
		t.Errorf("Run functions %v, want %v", functions, wanted)
	}
	called, err := callers(directory)
	if err != nil {
		t.Fatal(err)
	}
	if len(called) != 1 || !slices.Equal(called["RunTestPlain"], []string{"TestPlain"}) {
		t.Errorf("calls %v, want RunTestPlain by TestPlain", called)
	}
}

// TestResultsAreRead shows that a failure, a skip and a test that never ended are told
// from a pass.
func TestResultsAreRead(t *testing.T) {
	output := strings.Join([]string{
		`{"Action":"output","Package":"p","Test":"TestA","Output":"said\n"}`,
		`{"Action":"pass","Package":"p","Test":"TestA","Elapsed":1}`,
		`{"Action":"output","Package":"p","Test":"TestB/sub","Output":"why\n"}`,
		`{"Action":"skip","Package":"p","Test":"TestB/sub"}`,
		`{"Action":"fail","Package":"p","Test":"TestB"}`,
		`{"Action":"run","Package":"p","Test":"TestHangs"}`,
		`# p: does not compile`,
	}, "\n")
	results, err := readResults(strings.NewReader(output))
	if err != nil {
		t.Fatal(err)
	}
	for test, wanted := range map[string]string{"TestA": "pass", "TestB": "fail", "TestHangs": ""} {
		if action := results.all[name{"p", test}].Action; action != wanted {
			t.Errorf("%s: %q, want %q", test, action, wanted)
		}
	}
	if skipped := results.skipped(); !slices.Equal(skipped, []name{{"p", "TestB/sub"}}) {
		t.Errorf("skipped: %v", skipped)
	}
	if account := results.account("p", "TestB"); account != "why\n" {
		t.Errorf("account of TestB: %q", account)
	}
	if build := results.build.String(); !strings.Contains(build, "does not compile") {
		t.Errorf("the compiler's words are lost: %q", build)
	}
}
