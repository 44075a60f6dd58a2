//go:build cluster

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/sig-storage-lib-external-provisioner/v13/controller"
)

// provisionerName is the one k3s' StorageClass local-path names.
const provisionerName = "rancher.io/local-path"

// newProvisionerCommand makes volumes as k3s' local-path does: a folder on the node the
// scheduler chose, given to the pod as a hostPath bound to that node.
//
// It runs beside the control plane and not in a pod, because here every node's root is
// a folder of this machine: it makes and removes volumes by itself, without helper
// pods and their image, also those of a node that is without power.
func newProvisionerCommand() *cobra.Command {
	var kubeconfig string
	p := localPath{}
	cmd := &cobra.Command{
		Use:          "provisioner",
		Short:        "Make folders on nodes for PersistentVolumeClaims",
		SilenceUsage: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			access, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
			if err != nil {
				return err
			}
			client, err := kubernetes.NewForConfig(access)
			if err != nil {
				return err
			}
			ctx := cmd.Context()
			if ctx == nil {
				ctx = context.Background()
			}
			controller.NewProvisionController(ctx, client, provisionerName, p,
				controller.LeaderElection(false), controller.MetricsPort(0)).Run(ctx)
			return nil
		},
	}
	cmd.Flags().StringVar(&kubeconfig, "kubeconfig", "", "how to reach the API")
	cmd.Flags().StringVar(&p.nodes, "nodes", "", "pattern of a node's root folder on this machine, %s is the node's name")
	cmd.Flags().StringVar(&p.volumes, "volumes", "", "folder for volumes, as the node sees it")
	return cmd
}

type localPath struct {
	nodes   string
	volumes string
}

var _ controller.Provisioner = localPath{}

// Provision makes the folder and describes it.
func (p localPath) Provision(_ context.Context, o controller.ProvisionOptions) (*corev1.PersistentVolume, controller.ProvisioningState, error) {
	if o.SelectedNodeName == "" {
		return nil, controller.ProvisioningFinished, errors.New("no node was selected: the StorageClass must wait for the first consumer")
	}
	if o.PVC.Spec.VolumeMode != nil && *o.PVC.Spec.VolumeMode == corev1.PersistentVolumeBlock {
		return nil, controller.ProvisioningFinished, errors.New("block volumes are not supported: ask for a file system")
	}
	for _, mode := range o.PVC.Spec.AccessModes {
		if mode != corev1.ReadWriteOnce && mode != corev1.ReadWriteOncePod {
			return nil, controller.ProvisioningFinished, fmt.Errorf("access mode %s is not supported: a folder belongs to one node", mode)
		}
	}
	root := fmt.Sprintf(p.nodes, o.SelectedNodeName)
	if _, err := os.Stat(root); err != nil {
		return nil, controller.ProvisioningReschedule, fmt.Errorf("node %s: %w", o.SelectedNodeName, err)
	}
	path := filepath.Join(p.volumes, strings.Join([]string{o.PVName, o.PVC.Namespace, o.PVC.Name}, "_"))
	if err := os.MkdirAll(filepath.Join(root, path), 0o755); err != nil {
		return nil, controller.ProvisioningFinished, err
	}
	// A hostPath gets no fsGroup, so that any user must be able to write, as with k3s.
	if err := os.Chmod(filepath.Join(root, path), 0o777); err != nil {
		return nil, controller.ProvisioningFinished, err
	}
	reclaim := corev1.PersistentVolumeReclaimDelete
	if o.StorageClass.ReclaimPolicy != nil {
		reclaim = *o.StorageClass.ReclaimPolicy
	}
	return &corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: o.PVName},
		Spec: corev1.PersistentVolumeSpec{
			PersistentVolumeReclaimPolicy: reclaim,
			AccessModes:                   o.PVC.Spec.AccessModes,
			VolumeMode:                    o.PVC.Spec.VolumeMode,
			Capacity:                      corev1.ResourceList{corev1.ResourceStorage: o.PVC.Spec.Resources.Requests[corev1.ResourceStorage]},
			PersistentVolumeSource: corev1.PersistentVolumeSource{
				HostPath: &corev1.HostPathVolumeSource{Path: path, Type: ptr.To(corev1.HostPathDirectoryOrCreate)},
			},
			NodeAffinity: &corev1.VolumeNodeAffinity{Required: &corev1.NodeSelector{
				NodeSelectorTerms: []corev1.NodeSelectorTerm{{MatchExpressions: []corev1.NodeSelectorRequirement{{
					Key: corev1.LabelHostname, Operator: corev1.NodeSelectorOpIn, Values: []string{o.SelectedNodeName},
				}}}},
			}},
		},
	}, controller.ProvisioningFinished, nil
}

// Delete removes the folder. The controller calls it only for volumes whose reclaim
// policy is Delete.
func (p localPath) Delete(_ context.Context, volume *corev1.PersistentVolume) error {
	path, node := volume.Spec.HostPath.Path, ""
	for _, term := range volume.Spec.NodeAffinity.Required.NodeSelectorTerms {
		for _, e := range term.MatchExpressions {
			if e.Key == corev1.LabelHostname && len(e.Values) == 1 {
				node = e.Values[0]
			}
		}
	}
	// Both come from an API object that a test may have written: never leave the folder of volumes.
	if node == "" || strings.Contains(node, "/") || filepath.Dir(path) != filepath.Clean(p.volumes) {
		return fmt.Errorf("volume %s was not made by this provisioner: path %q, node %q", volume.Name, path, node)
	}
	return os.RemoveAll(filepath.Join(fmt.Sprintf(p.nodes, node), path))
}
