package deploy

import (
	"context"
	"fmt"

	"github.com/tmorin/homecloud/internal/cloud"
	"github.com/tmorin/homecloud/internal/config"
	"github.com/tmorin/homecloud/internal/kube"
)

// NotKept refuses a cluster whose cloud Flux or Argo CD keeps: what is changed
// behind their back is taken back.
func (u *Up) NotKept(ctx context.Context) error {
	if _, err := u.Kube.Version(ctx); err != nil {
		return err
	}
	return u.notKept(ctx)
}

func (u *Up) notKept(ctx context.Context) error {
	if u.TakeOver {
		return nil
	}
	for _, release := range []string{config.Release, config.PlatformRelease} {
		keeper, err := u.Kube.Keeper(ctx, release, release)
		if err != nil {
			return err
		}
		if keeper != nil {
			return kept(keeper)
		}
	}
	return nil
}

// unkeep makes a release that was taken over look like one of ours.
func (u *Up) unkeep(ctx context.Context, r cloud.Release) error {
	if !u.TakeOver || u.DryRun {
		return nil
	}
	return u.Kube.Unkeep(ctx, r.Namespace, r.Name)
}

func kept(keeper *kube.Keeper) error {
	command := map[string]string{kube.Flux: "flux", kube.ArgoCD: "argocd"}[keeper.Tool]
	return fmt.Errorf("%s keeps this cloud (%s) and would take back what is changed here: "+
		"run hcchart gitops %s again in its Git repository, and commit; or, to leave %[1]s, stop it and give --take-over", keeper.Tool, keeper.Object, command)
}
