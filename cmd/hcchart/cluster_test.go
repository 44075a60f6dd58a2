package main

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"

	helmchart "helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/release"
	"helm.sh/helm/v3/pkg/storage/driver"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/openapi/openapitest"

	"github.com/tmorin/homecloud/internal/config"
)

// documents are OpenAPI documents of Kubernetes that its client library carries.
func documents() map[string][]byte {
	paths, err := openapitest.NewEmbeddedFileClient().Paths()
	if err != nil {
		panic(err)
	}
	found := map[string][]byte{}
	for path, document := range paths {
		if found[path], err = document.Schema("application/json"); err != nil {
			panic(err)
		}
	}
	return found
}

// emptyCluster answers like the API server of a cluster of one prepared board,
// box, that holds nothing yet. Whatever would change it fails.
func emptyCluster() *httptest.Server { return cluster(nil) }

// installedCluster is the same where a cloud is installed, in a release with
// these values.
func installedCluster(values map[string]any) *httptest.Server {
	return cluster(nil, releaseSecrets(values)...)
}

// fluxCluster is the same where Flux has installed it.
func fluxCluster(values map[string]any) *httptest.Server {
	return cluster(workload(
		map[string]string{"helm.toolkit.fluxcd.io/name": "homecloud", "helm.toolkit.fluxcd.io/namespace": "flux-system"},
		map[string]string{"meta.helm.sh/release-name": config.Release},
	), releaseSecrets(values)...)
}

// argoCluster is one where Argo CD has: there is no release.
func argoCluster() *httptest.Server {
	return cluster(workload(nil, map[string]string{"argocd.argoproj.io/tracking-id": "homecloud:apps/DaemonSet:homecloud/homecloud-dnas-syncthing"}))
}

func workload(labels, annotations map[string]string) *metav1.ObjectMeta {
	return &metav1.ObjectMeta{Namespace: config.Release, Name: "homecloud-dnas-syncthing", Labels: labels, Annotations: annotations}
}

func releaseSecrets(values map[string]any) []corev1.Secret {
	held := fake.NewClientset().CoreV1().Secrets(config.Release)
	err := driver.NewSecrets(held).Create("sh.helm.release.v1."+config.Release+".v1", &release.Release{
		Name: config.Release, Namespace: config.Release, Version: 1, Config: values,
		Info:  &release.Info{Status: release.StatusDeployed},
		Chart: &helmchart.Chart{Metadata: &helmchart.Metadata{APIVersion: "v2", Name: config.Release, Version: "0.1.0"}},
	})
	if err != nil {
		panic(err)
	}
	list, err := held.List(context.Background(), metav1.ListOptions{})
	if err != nil {
		panic(err)
	}
	return list.Items
}

// cluster has this DaemonSet, if any, and these Secrets in the namespace of the
// services.
func cluster(daemon *metav1.ObjectMeta, secrets ...corev1.Secret) *httptest.Server {
	type object = map[string]any
	box := object{
		"metadata": object{"name": "box", "labels": object{"homecloud/dnas": "true"}},
		"status":   object{"conditions": []object{{"type": "Ready", "status": "True"}}},
	}
	daemons := []object{}
	if daemon != nil {
		daemons = append(daemons, object{"metadata": daemon})
	}
	openAPI := documents()
	list := object{}
	for path := range openAPI {
		list[path] = object{"serverRelativeURL": "/openapi/v3/" + path}
	}
	return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var answer object
		status := http.StatusOK
		switch {
		case r.Method == http.MethodPost && r.URL.Query().Has("dryRun"): // the namespace isn't there
			status, answer = http.StatusNotFound, object{"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": http.StatusNotFound}
		case r.Method != http.MethodGet:
			status, answer = http.StatusForbidden, object{"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": "nothing may change", "code": http.StatusForbidden}
		case r.URL.Path == "/version":
			answer = object{"major": "1", "minor": "34", "gitVersion": "v1.34.0"}
		case r.URL.Path == "/api/v1/nodes":
			answer = object{"kind": "NodeList", "apiVersion": "v1", "items": []object{box}}
		case r.URL.Path == "/api/v1/pods":
			answer = object{"kind": "PodList", "apiVersion": "v1", "items": []object{}}
		case r.URL.Path == "/api/v1/namespaces/"+config.Release+"/secrets": // where Helm looks for its releases
			answer = object{"kind": "SecretList", "apiVersion": "v1", "items": append([]corev1.Secret{}, secrets...)}
		case r.URL.Path == "/apis/apps/v1/namespaces/"+config.Release+"/daemonsets":
			answer = object{"kind": "DaemonSetList", "apiVersion": "apps/v1", "items": daemons}
		case strings.HasPrefix(r.URL.Path, "/apis/apps/v1/namespaces/") && strings.Count(r.URL.Path, "/") == 6: // a list
			answer = object{"kind": "List", "apiVersion": "v1", "items": []object{}}
		case strings.HasSuffix(r.URL.Path, "/secrets"):
			answer = object{"kind": "SecretList", "apiVersion": "v1", "items": []object{}}
		case r.URL.Path == "/api":
			answer = object{"kind": "APIVersions", "versions": []string{"v1"}}
		case r.URL.Path == "/api/v1":
			answer = object{"kind": "APIResourceList", "groupVersion": "v1", "resources": []object{{"name": "configmaps", "kind": "ConfigMap", "namespaced": true}}}
		case r.URL.Path == "/apis":
			apps := object{"groupVersion": "apps/v1", "version": "v1"}
			answer = object{"kind": "APIGroupList", "apiVersion": "v1", "groups": []object{{"name": "apps", "versions": []object{apps}, "preferredVersion": apps}}}
		case r.URL.Path == "/apis/apps/v1":
			answer = object{"kind": "APIResourceList", "groupVersion": "apps/v1", "resources": []object{
				{"name": "daemonsets", "kind": "DaemonSet", "namespaced": true}, {"name": "deployments", "kind": "Deployment", "namespaced": true},
			}}
		case r.URL.Path == "/openapi/v3":
			answer = object{"paths": list}
		case openAPI[strings.TrimPrefix(r.URL.Path, "/openapi/v3/")] != nil:
			_, _ = w.Write(openAPI[strings.TrimPrefix(r.URL.Path, "/openapi/v3/")])
			return
		default:
			status, answer = http.StatusNotFound, object{"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": http.StatusNotFound}
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(answer) // whoever went away doesn't read it
	}))
}
