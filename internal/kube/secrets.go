package kube

import (
	"context"
	"encoding/json"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// SurplusKeys lists the keys that the live Secret has and the wanted one
// hasn't, sorted.
func (c *Cluster) SurplusKeys(ctx context.Context, wanted *corev1.Secret) ([]string, error) {
	live, err := c.Client.CoreV1().Secrets(wanted.Namespace).Get(ctx, wanted.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("Secret %s: %w", wanted.Name, err) //nolint:staticcheck // a kind is written with a capital
	}
	var surplus []string
	for _, key := range sortedKeys(live.Data) {
		if _, ok := wanted.Data[key]; !ok {
			surplus = append(surplus, key)
		}
	}
	return surplus, nil
}

// RemoveKeys takes keys out of a Secret, whoever put them there.
func (c *Cluster) RemoveKeys(ctx context.Context, secret *corev1.Secret, keys []string) error {
	gone := map[string]any{}
	for _, key := range keys {
		gone[key] = nil
	}
	patch, err := json.Marshal(map[string]any{"data": gone})
	if err != nil {
		return err
	}
	_, err = c.Client.CoreV1().Secrets(secret.Namespace).Patch(ctx, secret.Name, types.MergePatchType, patch, metav1.PatchOptions{FieldManager: fieldManager})
	if err != nil {
		return fmt.Errorf("Secret %s: %w", secret.Name, err) //nolint:staticcheck // a kind is written with a capital
	}
	return nil
}
