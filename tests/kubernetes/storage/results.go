package storage

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

// event is one line of `go test -json`.
type event struct {
	Action  string
	Package string
	Test    string
	Elapsed float64
	Output  string
}

// result is how one test, subtest or package ("" for Test) ended.
type result struct {
	Action  string // pass, fail, skip, or "" when it never ended
	Seconds float64
	Output  strings.Builder
}

// name identifies a test within a run.
type name struct {
	Package, Test string
}

// results holds the results of a run, and in which order the tests began.
type results struct {
	all   map[name]*result
	order []name
	build strings.Builder
}

// readResults reads the output of `go test -json` to its end.
func readResults(output io.Reader) (*results, error) {
	read := &results{all: map[name]*result{}}
	lines := bufio.NewReader(output)
	for {
		line, err := lines.ReadBytes('\n')
		if len(line) > 0 {
			read.add(line)
		}
		if err == io.EOF {
			return read, nil
		}
		if err != nil {
			return nil, fmt.Errorf("output of go test: %w", err)
		}
	}
}

func (r *results) add(line []byte) {
	var event event
	if err := json.Unmarshal(line, &event); err != nil || event.Package == "" {
		r.build.Write(line) // what the compiler says, not yet about a test
		return
	}
	entry := r.entry(name{event.Package, event.Test})
	switch event.Action {
	case "pass", "fail", "skip":
		entry.Action, entry.Seconds = event.Action, event.Elapsed
	case "output":
		entry.Output.WriteString(event.Output)
	}
}

func (r *results) entry(key name) *result {
	entry := r.all[key]
	if entry == nil {
		entry = &result{}
		r.all[key] = entry
		r.order = append(r.order, key)
	}
	return entry
}

// topLevel lists the tests of a package that are not subtests, in the order they began.
func (r *results) topLevel(pkg string) []string {
	var tests []string
	for _, key := range r.order {
		if key.Package == pkg && key.Test != "" && !strings.Contains(key.Test, "/") {
			tests = append(tests, key.Test)
		}
	}
	return tests
}

// account is what a reader needs of a test that did not pass: its own output and
// that of every subtest that did not pass either.
func (r *results) account(pkg, test string) string {
	var account strings.Builder
	for _, key := range r.order {
		within := key.Test == test || strings.HasPrefix(key.Test, test+"/")
		if key.Package == pkg && within && r.all[key].Action != "pass" {
			account.WriteString(shortened(r.all[key].Output.String()))
		}
	}
	return account.String()
}

// shortened keeps the ends of an output that is too long to read.
func shortened(output string) string {
	const keep = 6000
	if len(output) <= 2*keep {
		return output
	}
	return output[:keep] + "\n[…]\n" + output[len(output)-keep:]
}

// skipped lists every test and subtest that was skipped.
func (r *results) skipped() []name {
	var skipped []name
	for _, key := range r.order {
		if r.all[key].Action == "skip" && key.Test != "" {
			skipped = append(skipped, key)
		}
	}
	return skipped
}
