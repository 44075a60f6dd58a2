package cloud

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"text/tabwriter"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Pods lists the pods of homecloud's namespaces.
func (c *Cloud) Pods(ctx context.Context) ([]corev1.Pod, error) {
	client, err := Client(c.Driver.Kubeconfig())
	if err != nil {
		return nil, err
	}
	list, err := client.CoreV1().Pods("").List(ctx, metav1.ListOptions{LabelSelector: "app.kubernetes.io/part-of=homecloud"})
	if err != nil {
		return nil, err
	}
	return list.Items, nil
}

// PrintPods prints what runs where, and which container doesn't.
func (c *Cloud) PrintPods(ctx context.Context, out io.Writer) error {
	pods, err := c.Pods(ctx)
	if err != nil {
		return err
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "NODE\tPOD\tCONTAINER\tREADY\tRESTARTS\tWHY NOT")
	for i := range pods {
		pod := &pods[i]
		for _, container := range append(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses...) {
			why := ""
			switch {
			case container.State.Waiting != nil:
				why = container.State.Waiting.Reason + " " + container.State.Waiting.Message
			case container.State.Running != nil && !container.Ready:
				why = c.closedBecause(ctx, pod, container.Name)
			}
			fmt.Fprintf(table, "%s\t%s\t%s\t%t\t%d\t%s\n", pod.Spec.NodeName, pod.Name, container.Name, container.Ready, container.RestartCount, why)
		}
	}
	return table.Flush()
}

var gateClosed = regexp.MustCompile(`msg="gate closed".* because=("(?:[^"\\]|\\.)*"|\S+)`)

// closedBecause is why the gate in a running container is closed; empty when it isn't.
func (c *Cloud) closedBecause(ctx context.Context, pod *corev1.Pod, container string) string {
	client, err := Client(c.Driver.Kubeconfig())
	if err != nil {
		return ""
	}
	log, err := client.CoreV1().Pods(pod.Namespace).GetLogs(pod.Name, &corev1.PodLogOptions{Container: container, TailLines: new(int64(100))}).DoRaw(ctx)
	if err != nil {
		return ""
	}
	closed := gateClosed.FindAllSubmatch(log, -1)
	if len(closed) == 0 || bytes.LastIndex(log, []byte(`msg="gate open"`)) > bytes.LastIndex(log, []byte(`msg="gate closed"`)) {
		return ""
	}
	because := string(closed[len(closed)-1][1])
	if plain, err := strconv.Unquote(because); err == nil {
		because = plain
	}
	return because
}

// PrintLogs prints the last lines of every container, for a failed test.
func (c *Cloud) PrintLogs(ctx context.Context, out io.Writer) {
	client, err := Client(c.Driver.Kubeconfig())
	if err != nil {
		fmt.Fprintln(out, err)
		return
	}
	pods, err := c.Pods(ctx)
	if err != nil {
		fmt.Fprintln(out, err)
		return
	}
	for i := range pods {
		for _, container := range append(pods[i].Spec.InitContainers, pods[i].Spec.Containers...) {
			log, err := client.CoreV1().Pods(pods[i].Namespace).GetLogs(pods[i].Name, &corev1.PodLogOptions{Container: container.Name, TailLines: new(int64(15))}).DoRaw(ctx)
			fmt.Fprintf(out, "--- %s %s %s (%v)\n%s", pods[i].Spec.NodeName, pods[i].Name, container.Name, err, log)
		}
	}
}
