package kube

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	coordination "k8s.io/client-go/kubernetes/typed/coordination/v1"
)

const (
	lockName = "hcchart"
	// lockLife is how long a lock outlives a run that died without a word.
	lockLife  = 30 * time.Second
	lockRenew = 8 * time.Second
)

// Lock keeps a second run out of the namespace until release is called: an
// interrupted release can only be told from a running one when at most one
// runs. The lock of a run that died is taken over when nobody has renewed it for
// as long as it lives, by this machine's clock alone: another one's may be wrong.
func (c *Cluster) Lock(ctx context.Context, namespace string) (release func(), err error) {
	host, _ := os.Hostname()
	holder := fmt.Sprintf("%s, process %d", host, os.Getpid())
	leases := c.Client.CoordinationV1().Leases(namespace)
	held, err := leases.Get(ctx, lockName, metav1.GetOptions{})
	if err == nil {
		held, err = expired(ctx, leases, held)
	}
	now, life := metav1.NowMicro(), int32(lockLife/time.Second)
	wanted := coordinationv1.LeaseSpec{HolderIdentity: &holder, LeaseDurationSeconds: &life, AcquireTime: &now, RenewTime: &now}
	switch {
	case apierrors.IsNotFound(err):
		held, err = leases.Create(ctx, &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: lockName, Namespace: namespace}, Spec: wanted}, metav1.CreateOptions{})
	case errors.Is(err, errHeld):
		return nil, fmt.Errorf("namespace %s: %w", namespace, err)
	case err == nil:
		held.Spec = wanted
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

// errHeld says that somebody else renews a lock.
var errHeld = errors.New("another hcchart is at work")

// expired returns a lease when nobody has renewed it for its life, which it
// waits for, or the API server's "not found" when it was given back meanwhile.
func expired(ctx context.Context, leases coordination.LeaseInterface, held *coordinationv1.Lease) (*coordinationv1.Lease, error) {
	if held.Spec.HolderIdentity == nil || held.Spec.RenewTime == nil {
		return held, nil
	}
	holder := *held.Spec.HolderIdentity
	slog.Warn("another hcchart is at work, or has died: this one looks whether it moves", "holder", holder, "at most", lockLife)
	for begin := time.Now(); time.Since(begin) < lockLife; {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(time.Second):
		}
		now, err := leases.Get(ctx, lockName, metav1.GetOptions{})
		if err != nil {
			return nil, err
		}
		if now.ResourceVersion != held.ResourceVersion || !now.Spec.RenewTime.Equal(held.Spec.RenewTime) {
			return nil, fmt.Errorf("%w (%s); let it end", errHeld, holder)
		}
	}
	return held, nil
}
