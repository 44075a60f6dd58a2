package kube

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// KeyChanges are the keys in which a live Secret differs from a wanted one,
// sorted; never their values.
type KeyChanges struct{ Added, Changed, Surplus []string }

// String is such as "add carol, change bob, remove dave", or nothing.
func (k KeyChanges) String() string {
	var words []string
	for _, group := range []struct {
		verb string
		keys []string
	}{{"add", k.Added}, {"change", k.Changed}, {"remove", k.Surplus}} {
		for _, key := range group.keys {
			words = append(words, group.verb+" "+key)
		}
	}
	return strings.Join(words, ", ")
}

// KeyChanges compares the live Secret with the wanted one; none when there is
// no live one.
func (c *Cluster) KeyChanges(ctx context.Context, wanted *corev1.Secret) (changes KeyChanges, err error) {
	live, err := c.Client.CoreV1().Secrets(wanted.Namespace).Get(ctx, wanted.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return changes, nil
	}
	if err != nil {
		return changes, fmt.Errorf("Secret %s: %w", wanted.Name, err) //nolint:staticcheck // a kind is written with a capital
	}
	for _, key := range sortedKeys(wanted.Data) {
		if was, ok := live.Data[key]; !ok {
			changes.Added = append(changes.Added, key)
		} else if !bytes.Equal(was, wanted.Data[key]) {
			changes.Changed = append(changes.Changed, key)
		}
	}
	for _, key := range sortedKeys(live.Data) {
		if _, ok := wanted.Data[key]; !ok {
			changes.Surplus = append(changes.Surplus, key)
		}
	}
	return changes, nil
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
