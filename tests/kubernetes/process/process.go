// Package process runs the servers of these tests: each writes to a log file of its
// own, and none outlives the test that started it.
package process

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"
)

// Process is a started server.
type Process struct {
	Name    string
	LogPath string
	command *exec.Cmd
	done    chan struct{}
	waitErr error
}

// Start runs a command whose output is appended to <directory>/<name>.log.
// The environment is this process' own followed by the given NAME=value pairs.
func Start(name, directory string, environment []string, binary string, arguments ...string) (*Process, error) {
	logPath := filepath.Join(directory, name+".log")
	log, err := os.OpenFile(logPath, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	defer log.Close()

	command := exec.Command(binary, arguments...)
	command.Env = append(os.Environ(), environment...)
	command.Dir = directory
	command.Stdout, command.Stderr = log, log
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := command.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	process := &Process{Name: name, LogPath: logPath, command: command, done: make(chan struct{})}
	go process.reap()
	return process, nil
}

func (p *Process) reap() {
	p.waitErr = p.command.Wait()
	close(p.done)
}

// Exited is closed once the process has ended.
func (p *Process) Exited() <-chan struct{} {
	return p.done
}

// Running says whether the process has not ended yet.
func (p *Process) Running() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// Kill ends the process as a crash would, with SIGKILL, and waits until it is gone.
func (p *Process) Kill() {
	_ = p.command.Process.Kill()
	<-p.done
}

// Terminate asks the process to end with SIGTERM. The error says that it did not
// within the limit (it is killed then) or that it ended with a failure. Ending by the
// signal itself is none: etcd, when it has cleaned up, raises it again.
func (p *Process) Terminate(limit time.Duration) error {
	if !p.Running() {
		return fmt.Errorf("%s had already ended: %v", p.Name, p.waitErr)
	}
	if err := p.command.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case <-p.done:
	case <-time.After(limit):
		p.Kill()
		return fmt.Errorf("%s did not end within %s after SIGTERM", p.Name, limit)
	}
	status := p.command.ProcessState.Sys().(syscall.WaitStatus)
	if p.waitErr != nil && status.Signal() != syscall.SIGTERM {
		return fmt.Errorf("%s ended with a failure after SIGTERM: %w", p.Name, p.waitErr)
	}
	return nil
}

// Usage is the CPU time that an ended process had used.
func (p *Process) Usage() time.Duration {
	<-p.done
	return p.command.ProcessState.UserTime() + p.command.ProcessState.SystemTime()
}

// noise is what components say by the hundred in the ordinary course: while the
// backend is away, and when a controller's informer is behind its own writes.
var noise = regexp.MustCompile("addrConn.createTransport failed|is not as new as written version")

// LogTail returns the last lines of the log, less the noise, for failure messages.
func (p *Process) LogTail(lines int) string {
	content, err := os.ReadFile(p.LogPath)
	if err != nil {
		return err.Error()
	}
	var kept []string
	for line := range strings.Lines(string(content)) {
		if !noise.MatchString(line) {
			kept = append(kept, line)
		}
	}
	kept = kept[max(0, len(kept)-lines):]
	return fmt.Sprintf("--- last lines of %s\n%s", p.LogPath, strings.Join(kept, ""))
}
