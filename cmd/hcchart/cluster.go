package main

import (
	"fmt"
	"time"

	"github.com/spf13/pflag"

	"github.com/tmorin/homecloud/internal/kube"
)

// clusterFlags say which Kubernetes cluster a command is about.
type clusterFlags struct{ kubeconfig, context string }

func (f *clusterFlags) addTo(flags *pflag.FlagSet) {
	flags.StringVar(&f.kubeconfig, "kubeconfig", "", "kubeconfig `file` (default: KUBECONFIG, or ~/.kube/config)")
	flags.StringVar(&f.context, "context", "", "`name` of the kubeconfig's context")
}

func (f *clusterFlags) connect() (*kube.Cluster, error) { return kube.Connect(f.kubeconfig, f.context) }

// releaseFlags are those of a command that changes releases.
type releaseFlags struct {
	clusterFlags
	timeout time.Duration
}

func (f *releaseFlags) addTo(flags *pflag.FlagSet) {
	f.clusterFlags.addTo(flags)
	flags.DurationVar(&f.timeout, "timeout", 10*time.Minute, "how `long` to wait for each release")
}

func (f *releaseFlags) connect() (*kube.Cluster, error) {
	if f.timeout <= 0 {
		return nil, usageError{fmt.Errorf("--timeout %s: write a time such as 10m", f.timeout)}
	}
	return f.clusterFlags.connect()
}
