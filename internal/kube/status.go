package kube

import (
	"context"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Container is a container and how it is doing.
type Container struct {
	Node     string `json:"node"`
	Pod      string `json:"pod"`
	Name     string `json:"container"` // empty: the whole pod
	Ready    bool   `json:"ready"`
	Restarts int32  `json:"restarts"`
	// Problems are what isn't as it should be, by Kubernetes and by what the
	// container itself says.
	Problems []string `json:"problems"`
}

// Containers returns how the containers of all pods with a label are doing, by
// node and pod. Those that prepared a pod and are done aren't listed.
func (c *Cluster) Containers(ctx context.Context, selector string) ([]Container, error) {
	pods, err := c.Client.CoreV1().Pods("").List(ctx, metav1.ListOptions{LabelSelector: selector})
	if err != nil {
		return nil, fmt.Errorf("pods: %w", err)
	}
	nodes, err := c.Client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("nodes: %w", err)
	}
	lost := map[string]string{}
	for i := range nodes.Items {
		if ready, reason := nodeReady(&nodes.Items[i]); !ready {
			lost[nodes.Items[i].Name] = "the node isn't Ready: " + reason
		}
	}
	var found []Container
	for i := range pods.Items {
		if pod := &pods.Items[i]; lost[pod.Spec.NodeName] != "" {
			found = append(found, Container{Node: place(pod), Pod: pod.Name, Problems: []string{lost[pod.Spec.NodeName]}})
		} else {
			found = append(found, c.containers(ctx, pod)...)
		}
	}
	slices.SortStableFunc(found, func(a, b Container) int { return strings.Compare(a.Node+" "+a.Pod, b.Node+" "+b.Pod) })
	return found, nil
}

func (c *Cluster) containers(ctx context.Context, pod *corev1.Pod) (found []Container) {
	told := false
	for _, status := range slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses) {
		if t := status.State.Terminated; t != nil && t.ExitCode == 0 {
			continue
		}
		one := Container{Node: place(pod), Pod: pod.Name, Name: status.Name, Ready: status.Ready, Restarts: status.RestartCount, Problems: []string{}}
		if reason, is := containerReason(status); is {
			one.Problems = append(one.Problems, strings.TrimLeft(strings.TrimPrefix(reason.text, "container "+status.Name), ": "))
			if reason.container != "" && status.State.Running == nil { // the last that it said is why
				for _, line := range c.lastLines(ctx, pod, reason, 1) {
					one.Problems = append(one.Problems, "said: "+line)
				}
			}
		}
		if status.State.Running != nil {
			for _, said := range c.Complaints(ctx, pod, status.Name) {
				one.Problems = append(one.Problems, said.About+": "+said.Because)
			}
		}
		told = told || len(one.Problems) > 0
		found = append(found, one)
	}
	if reasons := podReasons(pod); !told && len(reasons) > 0 {
		found = append(found, Container{Node: place(pod), Pod: pod.Name, Problems: []string{reasons[0].text}})
	}
	return found
}
