package cluster

import (
	"context"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// withStore calls use with an etcd client of the backend, past the API server.
func (c *Cluster) withStore(use func(*clientv3.Client) error) error {
	client, err := clientv3.New(clientv3.Config{Endpoints: c.Backend.Endpoints(), DialTimeout: 10 * time.Second})
	if err != nil {
		return err
	}
	defer client.Close()
	return use(client)
}

// storedKeys maps the keys under a prefix, as the backend has them, to the revisions
// that wrote them. Keys that a lease will take away are left out.
func (c *Cluster) storedKeys(ctx context.Context, prefix string) (map[string]int64, error) {
	keys := map[string]int64{}
	err := c.withStore(func(client *clientv3.Client) error {
		response, err := client.Get(ctx, prefix, clientv3.WithPrefix(), clientv3.WithKeysOnly())
		if err != nil {
			return err
		}
		for _, stored := range response.Kvs {
			if stored.Lease == 0 {
				keys[string(stored.Key)] = stored.ModRevision
			}
		}
		return nil
	})
	return keys, err
}
