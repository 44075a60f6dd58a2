package cloud

import (
	"context"
	"errors"
	"fmt"
	"os/exec"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

// Existing drives a cluster that somebody else made: a user's own boards,
// prepared by their owner. It offers no faults. The clients run on this
// machine, which therefore has to be on the boards' network.
type Existing struct{ Path string }

var _ Driver = (*Existing)(nil)

// Up implements [Driver]: it only asks whether the cluster answers.
func (e *Existing) Up(ctx context.Context) error {
	if e.Path == "" {
		return errors.New("KUBECONFIG is not set: it names the kubeconfig of the cluster to use")
	}
	_, err := clusterNodes(ctx, e.Path)
	return err
}

// Kubeconfig implements [Driver].
func (e *Existing) Kubeconfig() string { return e.Path }

// Nodes implements [Driver].
func (e *Existing) Nodes(ctx context.Context) ([]Node, error) {
	return clusterNodes(ctx, e.Path)
}

// Load implements [Driver]: the cluster pulls its images, or its owner loaded them.
func (e *Existing) Load(context.Context, ...string) error { return nil }

// Board implements [Driver]. There is no way onto somebody else's board.
func (e *Existing) Board(ctx context.Context, node string, _ ...string) *exec.Cmd {
	command := exec.CommandContext(ctx, "false")
	command.Err = fmt.Errorf("no shell on %s: an existing cluster's boards are prepared by their owner", node)
	return command
}

// LAN implements [Driver].
func (e *Existing) LAN(ctx context.Context, command ...string) *exec.Cmd {
	return exec.CommandContext(ctx, command[0], command[1:]...)
}

// Down implements [Driver]: what was not made here is not taken away.
func (e *Existing) Down(context.Context) error { return nil }

// Client talks to the cluster of a kubeconfig.
func Client(kubeconfig string) (*kubernetes.Clientset, error) {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, err
	}
	config.QPS, config.Burst = 50, 100
	return kubernetes.NewForConfig(config)
}

func clusterNodes(ctx context.Context, kubeconfig string) ([]Node, error) {
	client, err := Client(kubeconfig)
	if err != nil {
		return nil, err
	}
	list, err := client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("listing the nodes of %s: %w", kubeconfig, err)
	}
	nodes := make([]Node, len(list.Items))
	for i := range list.Items {
		nodes[i].Name = list.Items[i].Name
		for _, address := range list.Items[i].Status.Addresses {
			if address.Type == corev1.NodeInternalIP {
				nodes[i].Address = address.Address
			}
		}
	}
	return nodes, nil
}
