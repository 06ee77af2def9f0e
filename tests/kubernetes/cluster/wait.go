package cluster

import (
	"fmt"
	"testing"
	"time"
)

// Eventually tries until there is no error, at most for limit. The failure names what
// was waited for and the last error.
func Eventually(t testing.TB, limit time.Duration, what string, try func() error) {
	t.Helper()
	started := time.Now()
	for {
		err := try()
		waited := time.Since(started)
		if err == nil {
			t.Logf("%s: after %.1f s", what, waited.Seconds())
			return
		}
		if waited > limit {
			t.Fatalf("%s: not within %s: %v", what, limit, err)
		}
		time.Sleep(250 * time.Millisecond)
	}
}

// want is an error unless got is wanted.
func want[T comparable](what string, got, wanted T) error {
	if got == wanted {
		return nil
	}
	return fmt.Errorf("%s: %v, want %v", what, got, wanted)
}
