// Package parity sends the same scripts to a real etcd and to Taffrail and
// compares what they answer, field by field.
package parity

import (
	"context"
	"errors"
	"testing"
	"time"
)

// scriptTimeout bounds one script on one server, its start included; with more members there
// is as much more.
const scriptTimeout = 60 * time.Second

// Script is one behaviour: calls made through a recording session. It is named
// after its line of the checklist, e.g. "A1.3_limit_more_count". Every call that
// it makes through the session's clients is written to the transcript; the
// transcripts of both servers must be equal.
type Script struct {
	Name    string
	Options Options
	Run     func(ctx context.Context, s *Session)
}

// Divergence is a behaviour in which Taffrail deliberately is not etcd. Run
// reports in a few words what it saw; each server must be seen as listed.
type Divergence struct {
	Name     string
	Reason   string
	Options  Options
	Run      func(ctx context.Context, s *Session) string
	Etcd     string
	Taffrail string
}

// runSection plays every script on a fresh reference cluster and on a fresh target, at the
// same time as the other sections.
func runSection(t *testing.T, scripts []Script, divergences ...Divergence) {
	t.Parallel()
	for _, script := range scripts {
		t.Run(script.Name, func(t *testing.T) {
			skipUnfit(t, script.Name)
			t.Parallel()
			compare(t, script)
		})
	}
	for _, divergence := range divergences {
		t.Run(divergence.Name, func(t *testing.T) {
			skipUnfit(t, divergence.Name)
			t.Parallel()
			checkDivergence(t, divergence)
		})
	}
}

// compare fails the test when the transcripts of reference and target differ.
func compare(t *testing.T, script Script) {
	reference, target := playBoth(t, script.Options, script.Run)
	if reference.err != nil {
		t.Errorf("on the reference, %s: %v\nserver log:\n%s", reference.flavour, reference.err, reference.log)
	}
	if target.err != nil {
		t.Errorf("on the target, %s: %v\nserver log:\n%s", target.flavour, target.err, target.log)
	}
	if difference := unifiedDiff(reference.transcript, target.transcript); difference != "" {
		t.Errorf("answers differ (- %s, + %s)\n%s", reference.flavour, target.flavour, difference)
	}
	if *verbose {
		t.Logf("transcript of %s:\n%s", reference.flavour, reference.transcript)
	}
}

// checkDivergence fails the test when a server does not behave as its own column says.
func checkDivergence(t *testing.T, divergence Divergence) {
	run := func(ctx context.Context, s *Session) { s.Seen = divergence.Run(ctx, s) }
	reference, target := playBoth(t, divergence.Options, run)
	for _, play := range []performance{reference, target} {
		expected := divergence.Etcd
		if play.flavour.Name == "taffrail" {
			expected = divergence.Taffrail
		}
		if play.err != nil {
			t.Errorf("on %s: %v\nserver log:\n%s", play.flavour, play.err, play.log)
		}
		if play.seen != expected {
			t.Errorf("on %s: expected %q, saw %q (%s)\n%s",
				play.flavour, expected, play.seen, divergence.Reason, play.transcript)
		}
	}
}

// performance is what one run of a script on one server left behind.
type performance struct {
	flavour    Flavour
	transcript string
	seen       string
	log        string
	err        error
}

// playBoth runs the script on reference and target at the same time.
func playBoth(t *testing.T, options Options, run func(context.Context, *Session)) (performance, performance) {
	referenceDir, targetDir := t.TempDir(), t.TempDir()
	done := make(chan performance, 1)
	go func() { done <- play(targetFlavour(), targetDir, options, run) }()
	reference := play(etcdFlavour(), referenceDir, options, run)
	return reference, <-done
}

// play runs the script on one fresh cluster.
func play(flavour Flavour, dir string, options Options, run func(context.Context, *Session)) (result performance) {
	timeout := max(scriptTimeout, options.Timeout) * time.Duration(*memberCount)
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	result.flavour = flavour
	members, err := startMembers(ctx, flavour, dir, options)
	defer func() { members.Kill(); result.log = members.LogTail() }()
	if err != nil {
		result.err = err
		return result
	}
	session, err := openSession(ctx, members)
	if err != nil {
		result.err = err
		return result
	}
	defer session.Close()
	result.err = perform(ctx, session, run)
	result.transcript, result.seen = session.Transcript(), session.Seen
	return result
}

// perform runs the script; Session.Fail ends it early.
func perform(ctx context.Context, s *Session, run func(context.Context, *Session)) (err error) {
	defer func() {
		switch stopped := recover().(type) {
		case nil:
		case scriptStopped:
			err = errors.New(string(stopped))
			s.Note("script stopped: %v", err)
		default:
			panic(stopped)
		}
	}()
	run(ctx, s)
	if ctx.Err() != nil {
		return errors.New("the script ran too long")
	}
	return nil
}

// scriptStopped is what Session.Fail panics with.
type scriptStopped string
