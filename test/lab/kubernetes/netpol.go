//go:build cluster

package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/cloudnativelabs/kube-router/v2/pkg/controllers/netpol"
	"github.com/cloudnativelabs/kube-router/v2/pkg/healthcheck"
	"github.com/cloudnativelabs/kube-router/v2/pkg/options"
	"github.com/spf13/cobra"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

// newPolicyCommand enforces NetworkPolicies on one node with the very code k3s embeds:
// kube-router's firewall half, from k3s' fork, as a library. Its BGP router and its
// service proxy stay out, and with them GoBGP and the cloud clients.
func newPolicyCommand() *cobra.Command {
	var kubeconfig, node, services string
	cmd := &cobra.Command{
		Use:          "netpol",
		Short:        "Enforce NetworkPolicies on this node",
		SilenceUsage: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return enforcePolicies(cmd.Context(), kubeconfig, node, services)
		},
	}
	cmd.Flags().StringVar(&kubeconfig, "kubeconfig", "", "how to reach the API")
	cmd.Flags().StringVar(&node, "node", "", "name of this node")
	cmd.Flags().StringVar(&services, "service-cluster-ip-range", "", "addresses of Services")
	return cmd
}

func enforcePolicies(ctx context.Context, kubeconfig, node, services string) error {
	if ctx == nil {
		ctx = context.Background()
	}
	access, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return err
	}
	client, err := kubernetes.NewForConfig(access)
	if err != nil {
		return err
	}

	config := options.NewKubeRouterConfig()
	config.ClusterIPCIDRs = []string{services}
	config.EnableIPv4 = true
	config.HostnameOverride = node
	config.RunFirewall = true
	// The default is five minutes; a rule someone flushed by hand should be back within a test.
	config.IPTablesSyncPeriod = time.Minute

	factory := informers.NewSharedInformerFactory(client, 0)
	pods := factory.Core().V1().Pods().Informer()
	namespaces := factory.Core().V1().Namespaces().Informer()
	policies := factory.Networking().V1().NetworkPolicies().Informer()
	factory.Start(ctx.Done())
	factory.WaitForCacheSync(ctx.Done())

	tables, sets, err := netpol.NewIPTablesHandlers(config)
	if err != nil {
		return fmt.Errorf("iptables and ipset: %w", err)
	}
	controller, err := netpol.NewNetworkPolicyController(client, config, pods, policies, namespaces,
		&sync.Mutex{}, nil, tables, sets)
	if err != nil {
		return err
	}
	if _, err := pods.AddEventHandler(controller.PodEventHandler); err != nil {
		return err
	}
	if _, err := namespaces.AddEventHandler(controller.NamespaceEventHandler); err != nil {
		return err
	}
	if _, err := policies.AddEventHandler(controller.NetworkPolicyEventHandler); err != nil {
		return err
	}

	// The controller blocks on this unbuffered channel after each round; nothing here
	// asks for its health, so the beats are only taken from it.
	beats := make(chan *healthcheck.ControllerHeartbeat)
	go func() {
		for range beats {
		}
	}()
	var running sync.WaitGroup
	running.Add(1)
	controller.Run(beats, ctx.Done(), &running)
	return nil
}
