package kube

import (
	"context"
	"fmt"
	"os"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	lockName = "hcchart"
	// lockLife is how long a lock outlives a run that died without a word.
	lockLife  = 30 * time.Second
	lockRenew = 8 * time.Second
)

// Lock keeps a second run out of the namespace until release is called: an
// interrupted release can only be told from a running one when at most one
// runs. The lock of a run that died expires.
func (c *Cluster) Lock(ctx context.Context, namespace string) (release func(), err error) {
	host, _ := os.Hostname()
	holder := fmt.Sprintf("%s, process %d", host, os.Getpid())
	leases := c.Client.CoordinationV1().Leases(namespace)
	now, life := metav1.NowMicro(), int32(lockLife/time.Second)
	wanted := &coordinationv1.Lease{
		ObjectMeta: metav1.ObjectMeta{Name: lockName, Namespace: namespace},
		Spec:       coordinationv1.LeaseSpec{HolderIdentity: &holder, LeaseDurationSeconds: &life, AcquireTime: &now, RenewTime: &now},
	}

	held, err := leases.Get(ctx, lockName, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		held, err = leases.Create(ctx, wanted, metav1.CreateOptions{})
	case err == nil:
		if err := stillHeld(held, now.Time); err != nil {
			return nil, fmt.Errorf("namespace %s: %w", namespace, err)
		}
		held.Spec = wanted.Spec
		held, err = leases.Update(ctx, held, metav1.UpdateOptions{})
	}
	if apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) {
		return nil, fmt.Errorf("namespace %s: another hcchart began at the same moment; let it end", namespace)
	}
	if err != nil {
		return nil, fmt.Errorf("lock namespace %s: %w", namespace, err)
	}

	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(lockRenew)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				renewed := metav1.NowMicro()
				held.Spec.RenewTime = &renewed
				updated, err := leases.Update(ctx, held, metav1.UpdateOptions{})
				if err != nil {
					// No reason to stop: the API server may be restarting, and the next
					// renewal comes before the lock expires. It may have taken the
					// update all the same.
					updated, err = leases.Get(ctx, lockName, metav1.GetOptions{})
				}
				if err == nil && updated.Spec.HolderIdentity != nil && *updated.Spec.HolderIdentity == holder {
					held = updated
				}
			}
		}
	}()
	return func() {
		cancel()
		<-ended
		// Also after an interrupt, but never for long.
		last, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = leases.Delete(last, lockName, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &held.UID}})
	}, nil
}

func stillHeld(lease *coordinationv1.Lease, now time.Time) error {
	if lease.Spec.HolderIdentity == nil || lease.Spec.RenewTime == nil {
		return nil
	}
	if until := lease.Spec.RenewTime.Add(lockLife); now.Before(until) {
		return fmt.Errorf("another hcchart is at work (%s); let it end, or wait %s if it died", *lease.Spec.HolderIdentity, until.Sub(now).Round(time.Second))
	}
	return nil
}
