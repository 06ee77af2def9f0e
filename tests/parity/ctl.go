package parity

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"
)

// ctlTimeout bounds one etcdctl command.
const ctlTimeout = 20 * time.Second

// Ctl runs etcdctl, records what it prints and its exit code, and returns its output.
func (s *Session) Ctl(arguments ...string) string { return s.CtlInput("", arguments...) }

// CtlInput is Ctl with something to read.
func (s *Session) CtlInput(input string, arguments ...string) string {
	ctx, cancel := context.WithTimeout(s.ctx, ctlTimeout)
	defer cancel()
	stdout, stderr, code := s.ctl(ctx, input, arguments)
	s.recorder.line("$ etcdctl %s", s.Names.Text(strings.Join(arguments, " ")))
	s.recordOutput(stdout)
	s.recordErrors(stderr)
	s.recorder.line("exit %d", code)
	return stdout
}

func (s *Session) ctl(ctx context.Context, input string, arguments []string) (stdout, stderr string, code int) {
	command := s.ctlCommand(ctx, arguments)
	var out, errs strings.Builder
	command.Stdin, command.Stdout, command.Stderr = strings.NewReader(input), &out, &errs
	err := command.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		s.Fail("etcdctl: %v", err)
	}
	return out.String(), errs.String(), command.ProcessState.ExitCode()
}

func (s *Session) ctlCommand(ctx context.Context, arguments []string) *exec.Cmd {
	if !slices.Contains(arguments, "--endpoints") {
		arguments = append([]string{"--endpoints", s.Server.URL()}, arguments...)
	}
	command := exec.CommandContext(ctx, filepath.Join(peersDir(), "etcdctl"), arguments...)
	command.Dir = s.Server.Dir
	return command
}

// CtlLines runs an etcdctl command that does not end by itself: during is called while
// it runs, count lines of its output are recorded, then it is ended.
func (s *Session) CtlLines(count int, during func(), arguments ...string) {
	ctx, cancel := context.WithTimeout(s.ctx, ctlTimeout)
	defer cancel()
	command := s.ctlCommand(ctx, arguments)
	output, err := command.StdoutPipe()
	if err != nil {
		s.Fail("etcdctl: %v", err)
	}
	if err := command.Start(); err != nil {
		s.Fail("etcdctl: %v", err)
	}
	during()
	var lines strings.Builder
	scanner := bufio.NewScanner(output)
	for range count {
		if !scanner.Scan() {
			lines.WriteString("(output ends)\n")
			break
		}
		lines.WriteString(scanner.Text() + "\n")
	}
	cancel()
	_ = command.Wait()
	s.recorder.line("$ etcdctl %s", s.Names.Text(strings.Join(arguments, " ")))
	s.recordOutput(lines.String())
}

// recordOutput shows JSON field by field and other text line by line.
func (s *Session) recordOutput(text string) {
	if trimmed := strings.TrimSpace(text); strings.HasPrefix(trimmed, "{") || strings.HasPrefix(trimmed, "[") {
		s.recorder.line("%s", renderBody(s.Names, []byte(trimmed)))
		return
	}
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	listsMembers := memberLine.MatchString(lines[0]) || healthLine.MatchString(lines[0])
	for i, line := range lines {
		lines[i] = s.normaliseLine(line)
	}
	if listsMembers {
		sort.Strings(lines) // they come in the order of ids that the server chose, or of answers
	}
	for _, line := range lines {
		s.recorder.line("  %s", line)
	}
}

// recordErrors shows standard error without etcdctl's own log lines.
func (s *Session) recordErrors(text string) {
	for _, line := range strings.Split(text, "\n") {
		if line != "" && !strings.HasPrefix(line, "{") {
			s.recorder.line("  stderr: %s", s.normaliseLine(line))
		}
	}
}

var (
	leaseGranted = regexp.MustCompile(`lease ([0-9a-f]{12,16}) granted`)
	memberLine   = regexp.MustCompile(`^([0-9a-f]{12,16}), (?:un)?started`)
	healthLine   = regexp.MustCompile(`^http\S+ is healthy`)
	memberChange = regexp.MustCompile(`^Member +([0-9a-f]+) (\w+ .*cluster) +([0-9a-f]+)$`)
	clusterList  = regexp.MustCompile(`^ETCD_INITIAL_CLUSTER="(.*)"$`)
	clusterField = regexp.MustCompile(`^"ClusterID" : (\d+)$`)
	memberField  = regexp.MustCompile(`^"MemberID" : (\d+)$`)
	termField    = regexp.MustCompile(`^"RaftTerm" : \d+$`)
	durations    = regexp.MustCompile(`\b[0-9.]+(ns|µs|ms|s)\b`)
	remainings   = regexp.MustCompile(`remaining\(\d+s\)`)
	etcdPatch    = regexp.MustCompile(`\b3\.7\.\d+\b`)
)

// normaliseLine hides what differs from run to run: ids that the server chose, durations.
func (s *Session) normaliseLine(line string) string {
	for _, id := range []struct {
		pattern *regexp.Regexp
		kind    string
		base    int
	}{
		{leaseGranted, "lease", 16}, {memberLine, "member", 16}, {memberChange, "member", 16},
		{clusterField, "cluster", 10}, {memberField, "member", 10},
	} {
		if match := id.pattern.FindStringSubmatch(line); match != nil {
			if number, err := strconv.ParseUint(match[1], id.base, 64); err == nil {
				s.Names.Intern(id.kind, number)
			}
		}
	}
	line = s.normaliseChange(line)
	line = termField.ReplaceAllString(line, `"RaftTerm" : <set>`)
	line = remainings.ReplaceAllString(line, "remaining(<time>)")
	line = durations.ReplaceAllString(line, "<time>")
	line = etcdPatch.ReplaceAllString(line, "3.7.x")
	return s.Names.Text(line)
}

// normaliseChange evens out what etcdctl prints of a change of the members: ids are padded
// with blanks, and the list of members comes in the order of ids.
func (s *Session) normaliseChange(line string) string {
	if match := memberChange.FindStringSubmatch(line); match != nil {
		return fmt.Sprintf("Member %s %s <cluster>", match[1], match[2])
	}
	if match := clusterList.FindStringSubmatch(line); match != nil {
		members := strings.Split(s.Names.Text(match[1]), ",")
		sort.Strings(members)
		return fmt.Sprintf("ETCD_INITIAL_CLUSTER=%q", strings.Join(members, ","))
	}
	return line
}
