// Command etcd is the etcd server that Kubernetes of this version is tested with.
// It is the control: what fails against it too is a fault of the tests.
package main

import (
	"os"

	"go.etcd.io/etcd/server/v3/etcdmain"
)

func main() {
	etcdmain.Main(os.Args)
}
