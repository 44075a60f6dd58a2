package kube

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// refreshedAnnotation is on pods whose kubelet was asked to look at once.
const refreshedAnnotation = "homecloud/refreshed"

// Refresh makes the kubelets look at once whether what the pods of a release
// have mounted has changed; by themselves they do within a minute or two. Any
// change of an annotation does that (Kubernetes, "Mounted ConfigMaps are
// updated automatically").
func (c *Cluster) Refresh(ctx context.Context, namespace, release string) error {
	pods, err := c.Client.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{LabelSelector: "app.kubernetes.io/instance=" + release})
	if err != nil {
		return fmt.Errorf("pods of %s: %w", release, err)
	}
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"annotations": map[string]string{
		refreshedAnnotation: time.Now().UTC().Format(time.RFC3339Nano),
	}}})
	if err != nil {
		return err
	}
	for _, pod := range pods.Items {
		if _, err := c.Client.CoreV1().Pods(namespace).Patch(ctx, pod.Name, types.MergePatchType, patch, metav1.PatchOptions{FieldManager: fieldManager}); err != nil {
			return fmt.Errorf("pod %s: %w", pod.Name, err)
		}
	}
	return nil
}
