package kube

import (
	"testing"

	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"
)

func TestWhoKeepsAReleaseIsFoundOnItsWorkloads(t *testing.T) {
	helm := map[string]string{"meta.helm.sh/release-name": "cloud"}
	for name, test := range map[string]struct {
		labels, annotations map[string]string
		want                *Keeper
	}{
		"hcchart": {nil, helm, nil},
		"Flux": {map[string]string{"helm.toolkit.fluxcd.io/name": "cloud", "helm.toolkit.fluxcd.io/namespace": "flux-system"}, helm,
			&Keeper{Flux, "HelmRelease flux-system/cloud"}},
		"Argo CD by its annotation": {nil, map[string]string{"argocd.argoproj.io/tracking-id": "cloud:apps/DaemonSet:cloud/nas"},
			&Keeper{ArgoCD, "Application cloud"}},
		"Argo CD has taken over from hcchart": {nil, map[string]string{"meta.helm.sh/release-name": "cloud", "argocd.argoproj.io/tracking-id": "cloud:apps/DaemonSet:cloud/nas"},
			&Keeper{ArgoCD, "Application cloud"}},
		"Argo CD by its label": {nil, nil, &Keeper{ArgoCD, "Application cloud, or whoever installed it without Helm"}},
		"another release":      {map[string]string{"app.kubernetes.io/instance": "other"}, nil, nil},
		"an operator's own":    {map[string]string{"app.kubernetes.io/managed-by": "prometheus-operator"}, nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			workload := &appsv1.DaemonSet{ObjectMeta: metav1.ObjectMeta{Namespace: "cloud", Name: "nas", Annotations: test.annotations,
				Labels: map[string]string{"app.kubernetes.io/instance": "cloud", "app.kubernetes.io/managed-by": "Helm"}}}
			for key, value := range test.labels {
				workload.Labels[key] = value
			}
			c := &Cluster{Client: fake.NewClientset(workload)}
			got, err := c.Keeper(t.Context(), "cloud", "cloud")
			require.NoError(t, err)
			require.Equal(t, test.want, got)
			if _, byHelm := test.annotations["meta.helm.sh/release-name"]; !byHelm {
				return // an install by Helm comes before
			}
			require.NoError(t, c.Unkeep(t.Context(), "cloud", "cloud"))
			got, err = c.Keeper(t.Context(), "cloud", "cloud")
			require.NoError(t, err)
			require.Nil(t, got, "taken over")
		})
	}
}
