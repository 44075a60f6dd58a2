package secrets

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	applycorev1 "k8s.io/client-go/applyconfigurations/core/v1"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"

	"github.com/tmorin/homecloud/internal/config"
	"github.com/tmorin/homecloud/internal/deviceidentity"
)

// RekeyError says that the cluster has another identity for a node than the
// file.
type RekeyError struct {
	Secret        string
	Cluster, File config.DeviceID
}

func (e *RekeyError) Error() string {
	return fmt.Sprintf("Secret %s: the cluster's device is %s, the file's is %s; changing it would make another device, unknown to its peers. "+
		"If the board's pod says that it belongs to the file's, the cluster's is the wrong one: delete this Secret and the one of the peers, and do it again. "+
		"Otherwise keep the cluster's: hcchart secrets init --from-cluster; or give it up on purpose: delete the node's Secret and its entry in the peers Secret first",
		e.Secret, e.Cluster.Short(), e.File.Short())
}

// Apply puts the Secrets into the cluster and tells which changed, by name. All
// of them are compared before the first is written: a cluster with another
// identity for a node stays untouched, and the error is a RekeyError. The
// namespaces must exist.
func Apply(ctx context.Context, client typedcorev1.SecretsGetter, secrets []*corev1.Secret) (changed []string, err error) {
	return apply(ctx, client, secrets, metav1.ApplyOptions{FieldManager: FieldManager, Force: true})
}

// Compare tells what Apply would change, as the API server computes it, and
// changes nothing.
func Compare(ctx context.Context, client typedcorev1.SecretsGetter, secrets []*corev1.Secret) (changed []string, err error) {
	return apply(ctx, client, secrets, metav1.ApplyOptions{FieldManager: FieldManager, Force: true, DryRun: []string{metav1.DryRunAll}})
}

func apply(ctx context.Context, client typedcorev1.SecretsGetter, secrets []*corev1.Secret, options metav1.ApplyOptions) (changed []string, err error) {
	before := make([]*corev1.Secret, len(secrets)) // nil: absent
	var problems []error
	for i, secret := range secrets {
		live, err := client.Secrets(secret.Namespace).Get(ctx, secret.Name, metav1.GetOptions{})
		switch {
		case apierrors.IsNotFound(err):
			continue
		case err != nil:
			return nil, fmt.Errorf("read Secret %s/%s: %w", secret.Namespace, secret.Name, err)
		}
		before[i] = live
		if err := checkCloud(live.ObjectMeta, secret.Annotations[CloudAnnotation]); err != nil {
			return nil, err
		}
		problems = append(problems, checkRekey(live, secret))
	}
	if err := errors.Join(problems...); err != nil {
		return nil, err
	}
	// All are applied, also those that are equal: the fields become ours even
	// where the chart's own Job made the Secret. From the second time on the
	// API server leaves an equal object alone.
	for i, secret := range secrets {
		wanted := applycorev1.Secret(secret.Name, secret.Namespace).
			WithLabels(secret.Labels).WithAnnotations(secret.Annotations).WithType(secret.Type).WithData(secret.Data)
		after, err := client.Secrets(secret.Namespace).Apply(ctx, wanted, options)
		if apierrors.IsNotFound(err) {
			return changed, fmt.Errorf("namespace %s does not exist; hcchart up makes it, or kubectl create namespace %s", secret.Namespace, secret.Namespace)
		}
		if err != nil {
			return changed, fmt.Errorf("apply Secret %s/%s: %w", secret.Namespace, secret.Name, err)
		}
		if before[i] == nil || !maps.EqualFunc(before[i].Data, after.Data, bytes.Equal) || !maps.Equal(before[i].Labels, after.Labels) {
			changed = append(changed, secret.Name)
		}
	}
	return changed, nil
}

// checkRekey compares the devices of an identity Secret, or of the peers Secret.
func checkRekey(live, want *corev1.Secret) error {
	if _, isPeers := want.Data[keyAPI]; isPeers {
		for _, node := range slices.Sorted(maps.Keys(want.Data)) {
			theirs, ours := live.Data[node], want.Data[node]
			if node != keyAPI && len(theirs) > 0 && !bytes.Equal(theirs, ours) {
				return &RekeyError{Secret: want.Name, Cluster: config.DeviceID(theirs), File: config.DeviceID(ours)}
			}
		}
		return nil
	}
	if !IsIdentity(want) {
		return nil
	}
	if bytes.Equal(bytes.TrimSpace(live.Data[keyCertificate]), bytes.TrimSpace(want.Data[keyCertificate])) {
		return nil
	}
	ours, err := deviceidentity.DeviceOf(want.Data[keyCertificate], want.Data[keyPrivate])
	if err != nil {
		return fmt.Errorf("make Secret %s: %w", want.Name, err)
	}
	theirs, err := deviceidentity.DeviceOf(live.Data[keyCertificate], live.Data[keyPrivate])
	if err != nil {
		return fmt.Errorf("the cluster's Secret %s: %w; it has been edited: repair it, or delete it if the node never ran", want.Name, err)
	}
	if ours != theirs {
		return &RekeyError{Secret: want.Name, Cluster: theirs, File: ours}
	}
	return nil
}
