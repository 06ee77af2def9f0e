package cluster

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// compactedKey is where kube-apiserver notes the revision that it compacted last.
const compactedKey = "compact_rev_key"

// oldRevisionsAreCompacted asserts that kube-apiserver has compacted the backend, that
// the backend refuses what lies below and still has what lies at the line, and that
// users of an old version are told it is gone.
func oldRevisionsAreCompacted(ctx context.Context, t *testing.T, c *Cluster) {
	var revision int64
	Eventually(t, 3*compactionInterval, "revisions below the compacted one are refused", func() error {
		return c.withStore(func(client *clientv3.Client) error {
			var err error
			if revision, err = notedRevision(ctx, client); err != nil {
				return err
			}
			return compactionHolds(ctx, client, revision)
		})
	})
	// API servers keep snapshots of their own until they hear of the compaction.
	Eventually(t, 30*time.Second, fmt.Sprintf("a list at version %d, below the compacted one, is refused", revision-1), func() error {
		_, err := c.Client.CoreV1().ConfigMaps("pages").List(ctx, metav1.ListOptions{
			ResourceVersion: fmt.Sprint(revision - 1), ResourceVersionMatch: metav1.ResourceVersionMatchExact,
		})
		if !apierrors.IsResourceExpired(err) {
			return fmt.Errorf("%v, want 410 Expired", err)
		}
		return nil
	})
}

// notedRevision is what kube-apiserver says it has compacted.
func notedRevision(ctx context.Context, client *clientv3.Client) (int64, error) {
	noted, err := client.Get(ctx, compactedKey)
	if err != nil {
		return 0, err
	}
	if len(noted.Kvs) == 0 {
		return 0, fmt.Errorf("there is no %s", compactedKey)
	}
	revision, err := strconv.ParseInt(string(noted.Kvs[0].Value), 10, 64)
	if err == nil && revision < 2 {
		err = fmt.Errorf("nothing is compacted yet: %d", revision)
	}
	return revision, err
}

func compactionHolds(ctx context.Context, client *clientv3.Client, revision int64) error {
	if _, err := client.Get(ctx, "/registry/namespaces/default", clientv3.WithRev(revision)); err != nil {
		return fmt.Errorf("a read at the compacted revision %d: %w", revision, err)
	}
	_, err := client.Get(ctx, "/registry/namespaces/default", clientv3.WithRev(revision-1))
	if !errors.Is(err, rpctypes.ErrCompacted) {
		return fmt.Errorf("a read below the compacted revision %d: %v, want %v", revision, err, rpctypes.ErrCompacted)
	}
	watched, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	answer := <-client.Watch(watched, "/registry/namespaces/default", clientv3.WithRev(revision-1))
	if !answer.Canceled || answer.CompactRevision != revision {
		return fmt.Errorf("a watch from below the compacted revision %d: %+v", revision, answer)
	}
	return nil
}
