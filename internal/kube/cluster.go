// Package kube is what hcchart does to a Kubernetes cluster beside Helm: it
// connects, prepares namespaces, looks at nodes, keeps two runs apart and waits
// until what was installed is usable. It knows nothing of the cluster file.
package kube

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	applycorev1 "k8s.io/client-go/applyconfigurations/core/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// fieldManager owns what this package applies.
const fieldManager = "hcchart"

// Cluster is a connection to a cluster.
type Cluster struct {
	Client kubernetes.Interface
	flags  *genericclioptions.ConfigFlags
	host   string
}

// debugWarnings keeps the API server's remarks on objects out of the way of a
// person who didn't write them.
type debugWarnings struct{}

func (debugWarnings) HandleWarningHeader(_ int, _ string, text string) {
	slog.Debug(text, "from", "API server")
}

// Connect finds the cluster by the usual rules: the given kubeconfig, else
// KUBECONFIG, else ~/.kube/config; its current context unless one is named.
// It doesn't call the cluster yet.
func Connect(kubeconfig, kubeContext string) (*Cluster, error) {
	flags := genericclioptions.NewConfigFlags(true).WithWrapConfigFn(func(c *rest.Config) *rest.Config {
		// An install asks for many objects in a row; the default makes it wait.
		c.QPS, c.Burst = 50, 100
		c.WarningHandler = debugWarnings{}
		return c
	})
	flags.KubeConfig = &kubeconfig
	flags.Context = &kubeContext
	known, err := flags.ToRawKubeConfigLoader().RawConfig()
	if err != nil {
		return nil, fmt.Errorf("kubeconfig: %w", err)
	}
	if len(known.Clusters) == 0 {
		// Else the library would ask localhost.
		return nil, errors.New("no kubeconfig names a cluster; give --kubeconfig FILE, or set KUBECONFIG")
	}
	config, err := flags.ToRESTConfig()
	if err != nil {
		return nil, fmt.Errorf("kubeconfig: %w", err)
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("kubeconfig: %w", err)
	}
	return &Cluster{Client: client, flags: flags, host: config.Host}, nil
}

// RESTGetter gives Helm the same cluster, with a default namespace.
func (c *Cluster) RESTGetter(namespace string) genericclioptions.RESTClientGetter {
	flags := genericclioptions.NewConfigFlags(true)
	flags.KubeConfig, flags.Context = c.flags.KubeConfig, c.flags.Context
	flags.WrapConfigFn = c.flags.WrapConfigFn
	flags.Namespace = &namespace
	return flags
}

// Version asks the cluster for its version: the first sign that it answers.
func (c *Cluster) Version(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	body, err := c.Client.CoreV1().RESTClient().Get().AbsPath("/version").DoRaw(ctx)
	if err != nil {
		return "", fmt.Errorf("the cluster at %s doesn't answer: %w", c.host, err)
	}
	var info struct {
		GitVersion string `json:"gitVersion"`
	}
	if err := json.Unmarshal(body, &info); err != nil || info.GitVersion == "" {
		return "", fmt.Errorf("the server at %s doesn't answer like Kubernetes", c.host)
	}
	return info.GitVersion, nil
}

// Privileged lets a namespace's pods use the host's network and paths, which
// the NAS and the virtual address can't do without.
var Privileged = map[string]string{"pod-security.kubernetes.io/enforce": "privileged"}

// EnsureNamespace creates the namespace, or puts the labels on it, and tells
// what it did: "create", "label", or "" for nothing. With look it only tells.
func (c *Cluster) EnsureNamespace(ctx context.Context, name string, labels map[string]string, look bool) (string, error) {
	change := ""
	live, err := c.Client.CoreV1().Namespaces().Get(ctx, name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		change = "create"
	case err != nil:
		return "", fmt.Errorf("namespace %s: %w", name, err)
	case live.Status.Phase == corev1.NamespaceTerminating:
		return "", fmt.Errorf("namespace %s is being deleted; wait until it is gone", name)
	default:
		for key, value := range labels {
			if live.Labels[key] != value {
				change = "label"
			}
		}
	}
	if change == "" || look {
		return change, nil
	}
	apply := applycorev1.Namespace(name).WithLabels(labels)
	if _, err := c.Client.CoreV1().Namespaces().Apply(ctx, apply, metav1.ApplyOptions{FieldManager: fieldManager, Force: true}); err != nil {
		return "", fmt.Errorf("namespace %s: %w", name, err)
	}
	return change, nil
}

// HasNamespace says whether the namespace is there.
func (c *Cluster) HasNamespace(ctx context.Context, name string) (bool, error) {
	_, err := c.Client.CoreV1().Namespaces().Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	return err == nil, err
}
