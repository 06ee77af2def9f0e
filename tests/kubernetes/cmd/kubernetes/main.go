// Command kubernetes is kube-apiserver, kube-controller-manager, kube-scheduler
// and kubectl in one binary, so that their common half a gigabyte of packages is
// compiled and linked once. The name it is called by chooses the command; each
// command is built by the same constructor as in its own upstream main package.
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"time"
	_ "time/tzdata" // CronJob time zones, as upstream's mains have it

	"github.com/spf13/cobra"
	"k8s.io/apiserver/pkg/storage/cacher"
	_ "k8s.io/client-go/plugin/pkg/client/auth"
	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/logs/json/register"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
	kubectl "k8s.io/kubectl/pkg/cmd"
	kubectlutil "k8s.io/kubectl/pkg/cmd/util"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
)

func main() {
	shortenConsistencyChecks()
	switch name := filepath.Base(os.Args[0]); name {
	case "kube-apiserver":
		serve(apiserver.NewAPIServerCommand())
	case "kube-controller-manager":
		serve(controllermanager.NewControllerManagerCommand())
	case "kube-scheduler":
		serve(scheduler.NewSchedulerCommand())
	case "kubectl":
		runKubectl()
	default:
		fmt.Fprintf(os.Stderr, "%s: call it as kube-apiserver, kube-controller-manager, kube-scheduler or kubectl\n", name)
		os.Exit(2)
	}
}

// shortenConsistencyChecks sets how often kube-apiserver compares its watch caches
// with the store. It has no flag for that, and its 5 to 7.5 minutes before the first
// comparison are longer than the tests take.
func shortenConsistencyChecks() {
	text := os.Getenv("CONSISTENCY_CHECK_PERIOD")
	if text == "" {
		return
	}
	period, err := time.ParseDuration(text)
	if err != nil {
		fmt.Fprintln(os.Stderr, "CONSISTENCY_CHECK_PERIOD:", err)
		os.Exit(2)
	}
	cacher.ConsistencyCheckPeriod = period
}

func serve(command *cobra.Command) {
	os.Exit(cli.Run(command))
}

func runKubectl() {
	if err := cli.RunNoErrOutput(kubectl.NewDefaultKubectlCommand()); err != nil {
		kubectlutil.CheckErr(err)
	}
}
