package kube

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// CheckNodes says what is wrong with nodes that are expected, all at once:
// each has to be there and Ready, and carry the labels it is expected to.
// beside says what else has to go out of the cluster file with nodes that are
// taken out of it; empty: nothing.
func (c *Cluster) CheckNodes(ctx context.Context, expected map[string]map[string]string, beside func(nodes []string) string) error {
	list, err := c.Client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("nodes: %w", err)
	}
	live := map[string]*corev1.Node{}
	var names []string
	for i := range list.Items {
		live[list.Items[i].Name] = &list.Items[i]
		names = append(names, list.Items[i].Name)
	}
	var away []string
	for _, name := range sortedKeys(expected) {
		if node, ok := live[name]; !ok {
			away = append(away, name)
		} else if ready, _ := nodeReady(node); !ready {
			away = append(away, name)
		}
	}
	also := beside(away)
	var errs []error
	for _, name := range sortedKeys(expected) {
		node, ok := live[name]
		if !ok {
			errs = append(errs, fmt.Errorf("node %s isn't in the cluster, which has %s; join the board, or take it out of the cluster file%s", name, listed(names), also))
			continue
		}
		if ready, reason := nodeReady(node); !ready {
			errs = append(errs, fmt.Errorf("node %s isn't Ready: %s; bring it back, or take it out of the cluster file until it is%s", name, reason, also))
		}
		for _, key := range sortedKeys(expected[name]) {
			if node.Labels[key] != expected[name][key] {
				errs = append(errs, fmt.Errorf("node %s lacks the label %s=%s; once its data disk is adopted: kubectl label node %s %s=%s",
					name, key, expected[name][key], name, key, expected[name][key]))
			}
		}
	}
	return errors.Join(errs...)
}

func nodeReady(node *corev1.Node) (ready bool, reason string) {
	for _, condition := range node.Status.Conditions {
		if condition.Type == corev1.NodeReady {
			return condition.Status == corev1.ConditionTrue, condition.Reason + ", " + condition.Message
		}
	}
	return false, "its kubelet has not reported yet"
}
