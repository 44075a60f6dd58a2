package kube

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// The tools that keep a release as a Git repository says.
const (
	Flux   = "Flux"
	ArgoCD = "Argo CD"
)

// Keeper is who takes back whatever somebody else changes of a release.
type Keeper struct {
	Tool   string
	Object string // that says so, such as HelmRelease flux-system/homecloud
}

// What the tools, and Helm, write on the objects that are theirs.
const (
	fluxName      = "helm.toolkit.fluxcd.io/name" // labels
	fluxNamespace = "helm.toolkit.fluxcd.io/namespace"
	argoTracking  = "argocd.argoproj.io/tracking-id" // annotations
	helmRelease   = "meta.helm.sh/release-name"
)

// Keeper tells who keeps a release, by what its workloads bear; nil: nobody
// beside Helm. Argo CD renders a release's charts without installing a release:
// where it tracks objects by the label app.kubernetes.io/instance, which charts
// write too, they lack Helm's own annotation.
func (c *Cluster) Keeper(ctx context.Context, namespace, release string) (*Keeper, error) {
	workloads, err := c.workloadsOf(ctx, namespace, release)
	if err != nil {
		return nil, err
	}
	for _, w := range workloads {
		name, flux := w.Labels[fluxName]
		tracking, argo := w.Annotations[argoTracking]
		_, helm := w.Annotations[helmRelease]
		switch {
		case flux:
			return &Keeper{Flux, "HelmRelease " + w.Labels[fluxNamespace] + "/" + name}, nil
		case argo:
			application, _, _ := strings.Cut(tracking, ":")
			return &Keeper{ArgoCD, "Application " + application}, nil
		case !helm:
			return &Keeper{ArgoCD, "Application " + release + ", or whoever installed it without Helm"}, nil
		}
	}
	return nil, nil
}

// Unkeep takes away what Keeper goes by, once the release is Helm's.
func (c *Cluster) Unkeep(ctx context.Context, namespace, release string) error {
	workloads, err := c.workloadsOf(ctx, namespace, release)
	if err != nil {
		return err
	}
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{
		"labels": map[string]any{fluxName: nil, fluxNamespace: nil}, "annotations": map[string]any{argoTracking: nil},
	}})
	if err != nil {
		return err
	}
	for _, w := range workloads {
		if err := w.patch(ctx, patch); err != nil {
			return fmt.Errorf("%s: %w", w.Name, err)
		}
	}
	return nil
}

// keptWorkload is what there is of a workload whatever its kind.
type keptWorkload struct {
	metav1.ObjectMeta
	patch func(context.Context, []byte) error
}

// workloadsOf are those that come from a release's chart.
func (c *Cluster) workloadsOf(ctx context.Context, namespace, release string) (found []keptWorkload, err error) {
	options := metav1.ListOptions{LabelSelector: "app.kubernetes.io/managed-by=Helm,app.kubernetes.io/instance=" + release}
	apps, how := c.Client.AppsV1(), metav1.PatchOptions{FieldManager: fieldManager}
	daemons, err := apps.DaemonSets(namespace).List(ctx, options)
	if err != nil {
		return nil, fmt.Errorf("daemon sets of %s: %w", release, err)
	}
	for _, d := range daemons.Items {
		found = append(found, keptWorkload{d.ObjectMeta, func(ctx context.Context, patch []byte) error {
			_, err := apps.DaemonSets(namespace).Patch(ctx, d.Name, types.MergePatchType, patch, how)
			return err
		}})
	}
	deployments, err := apps.Deployments(namespace).List(ctx, options)
	if err != nil {
		return nil, fmt.Errorf("deployments of %s: %w", release, err)
	}
	for _, d := range deployments.Items {
		found = append(found, keptWorkload{d.ObjectMeta, func(ctx context.Context, patch []byte) error {
			_, err := apps.Deployments(namespace).Patch(ctx, d.Name, types.MergePatchType, patch, how)
			return err
		}})
	}
	return found, nil
}
