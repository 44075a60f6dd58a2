//go:build cluster

// Kubernetes as one program: everything the lab runs from source, chosen by the
// first argument. One program shares its packages, so that it costs one compilation
// of client-go and one copy in memory.
//
// The build tag keeps `go vet ./...` and `go test ./...` of this module from
// compiling Kubernetes (some 500 CPU-seconds); `lab build` sets it.
package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	etcd "go.etcd.io/etcd/server/v3/etcdmain"
	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/logs/json/register"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllers "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	proxy "k8s.io/kubernetes/cmd/kube-proxy/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	kubelet "k8s.io/kubernetes/cmd/kubelet/app"
)

func main() {
	programs := map[string]func(){
		"apiserver":          run(apiserver.NewAPIServerCommand),
		"controller-manager": run(controllers.NewControllerManagerCommand),
		"scheduler":          run(func() *cobra.Command { return scheduler.NewSchedulerCommand() }),
		"kubelet":            run(func() *cobra.Command { return kubelet.NewKubeletCommand(context.Background()) }),
		"proxy":              run(proxy.NewProxyCommand),
		"etcd":               func() { etcd.Main(os.Args) },
		"coredns":            coreDNS,
		"netpol":             run(newPolicyCommand),
		"provisioner":        run(newProvisionerCommand),
	}
	var name string
	if len(os.Args) > 1 {
		name = os.Args[1]
	}
	program, found := programs[name]
	if !found {
		names := make([]string, 0, len(programs))
		for n := range programs {
			names = append(names, n)
		}
		slices.Sort(names)
		fmt.Fprintf(os.Stderr, "usage: kubernetes %s [flags]\n", strings.Join(names, "|"))
		os.Exit(64)
	}
	os.Args = append([]string{name}, os.Args[2:]...)
	program()
}

func run(command func() *cobra.Command) func() {
	return func() { os.Exit(cli.Run(command())) }
}
