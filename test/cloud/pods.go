package cloud

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"

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

// PrintStatus prints what hcchart says of the cloud; not being in order is no error.
func (c *Cloud) PrintStatus(ctx context.Context, out io.Writer) error {
	command := c.HCChart(ctx, "status")
	command.Stdout, command.Stderr = out, os.Stderr
	err := command.Run()
	if exit, is := errors.AsType[*exec.ExitError](err); is && exit.ExitCode() == 2 {
		return nil
	}
	return err
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
