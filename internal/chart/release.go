package chart

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"time"

	"helm.sh/helm/v3/pkg/action"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/kube"
	"helm.sh/helm/v3/pkg/release"
	"helm.sh/helm/v3/pkg/storage/driver"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/cli-runtime/pkg/genericclioptions"
)

// keepRevisions is how many former revisions of a release stay in the cluster.
const keepRevisions = 5

// Action is what has to be, or was, done to a release.
type Action string

// The actions. Recover is an Upgrade after a run that was interrupted or
// failed.
const (
	Unchanged Action = "unchanged"
	Install   Action = "install"
	Upgrade   Action = "upgrade"
	Recover   Action = "recover"
	Uninstall Action = "uninstall"
)

// Release is a chart with values under a name.
type Release struct {
	Name   string
	Chart  *Chart
	Values map[string]any
	// Adopt takes objects over that are there and that no release of Helm has.
	Adopt bool
}

// Releases are the releases of one namespace of a cluster.
type Releases struct {
	namespace string
	config    *action.Configuration
	offers    func() (version string, apis chartutil.VersionSet, err error) // the cluster's capabilities
}

// Open gives access to the releases of a namespace. log gets Helm's own
// messages.
func Open(getter genericclioptions.RESTClientGetter, namespace string, log func(format string, arguments ...any)) (*Releases, error) {
	// Helm would take the name of this program.
	kube.ManagedFieldsManager = "helm"
	config := new(action.Configuration)
	if err := config.Init(getter, namespace, "secret", log); err != nil {
		return nil, err
	}
	return &Releases{namespace: namespace, config: config, offers: func() (string, chartutil.VersionSet, error) { return offered(getter) }}, nil
}

// offered asks a cluster for its version and API groups.
func offered(getter genericclioptions.RESTClientGetter) (string, chartutil.VersionSet, error) {
	discovery, err := getter.ToDiscoveryClient()
	if err != nil {
		return "", nil, err
	}
	discovery.Invalidate()
	version, err := discovery.ServerVersion()
	if err != nil {
		return "", nil, fmt.Errorf("ask the cluster for its version: %w", err)
	}
	apis, err := action.GetVersionSet(discovery)
	return version.GitVersion, apis, err
}

// Plan is what Apply would do.
type Plan struct {
	Action  Action
	Changes []Change // what differs from the deployed revision, object by object
	Reason  string   // why, when no object differs

	Rendering *Rendering

	last *release.Release // the newest revision, nil when there is none
}

// Plan compares a release with what is deployed. It changes nothing.
//
// A release is unchanged when its newest revision is deployed, has the same
// chart version, values, objects and hooks, and all its objects still exist.
func (r *Releases) Plan(ctx context.Context, wanted Release) (*Plan, error) {
	last, err := r.last(wanted.Name)
	if err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	rendered, err := r.render(wanted, last != nil)
	if err != nil {
		return nil, err
	}
	plan := &Plan{Action: Upgrade, Rendering: rendered, last: last}
	if last == nil {
		plan.Action = Install
		plan.Changes, err = compare("", rendered.Manifest)
		return plan, err
	}

	base := last
	if status := last.Info.Status; status != release.StatusDeployed {
		plan.Action = Recover
		plan.Reason = fmt.Sprintf("revision %d is %s", last.Version, status)
		if deployed, err := r.config.Releases.Deployed(wanted.Name); err == nil {
			base = deployed
		}
	}
	if plan.Changes, err = compare(base.Manifest, rendered.Manifest); err != nil {
		return nil, err
	}
	if plan.Action == Recover || len(plan.Changes) > 0 {
		return plan, nil
	}
	values, err := copyValues(wanted.Values)
	if err != nil {
		return nil, err
	}
	switch {
	case last.Chart.Metadata.Version != wanted.Chart.Version:
		plan.Reason = fmt.Sprintf("chart %s → %s", last.Chart.Metadata.Version, wanted.Chart.Version)
	case !sameValues(last.Config, values):
		plan.Reason = "values differ, objects don't"
	case !reflect.DeepEqual(rendering(last).Hooks, rendered.Hooks):
		plan.Reason = "hooks differ"
	default:
		if plan.Reason, err = r.deleted(last.Manifest); err != nil {
			return nil, err
		}
		if plan.Reason == "" {
			plan.Action = Unchanged
		}
	}
	return plan, nil
}

// Apply installs or upgrades the release as planned, and returns when the API
// server has every object and the hooks are through; it doesn't wait for pods.
//
// A revision that an interrupted run left pending is marked failed first. The
// caller has made sure that no other run is at work. The upgrade then compares
// with the last deployed revision and with the live objects, so that nothing
// has to be removed or made twice; what only the failed revisions brought is
// deleted afterwards.
func (r *Releases) Apply(ctx context.Context, wanted Release, plan *Plan, timeout time.Duration) error {
	if plan.Action == Unchanged {
		return nil
	}
	last := plan.last
	if last != nil && (last.Info.Status == release.StatusUninstalling || last.Info.Status == release.StatusUninstalled) {
		// An uninstall was interrupted: end it, then there is nothing to compare with.
		if _, err := r.Uninstall(ctx, wanted.Name, timeout); err != nil {
			return err
		}
		last = nil
	}
	if last != nil && last.Info.Status.IsPending() {
		last.SetStatus(release.StatusFailed, "interrupted; the next run takes over")
		if err := r.config.Releases.Update(last); err != nil {
			return fmt.Errorf("release %s: revision %d is pending and can't be marked failed: %w", wanted.Name, last.Version, err)
		}
	}

	h, err := wanted.Chart.helm()
	if err != nil {
		return err
	}
	values, err := copyValues(wanted.Values)
	if err != nil {
		return err
	}
	if last == nil {
		install := action.NewInstall(r.config)
		install.ReleaseName, install.Namespace, install.Timeout = wanted.Name, r.namespace, timeout
		install.SkipSchemaValidation, install.TakeOwnership = true, wanted.Adopt
		_, err = install.RunWithContext(ctx, h, values)
		return r.failed(ctx, wanted.Name, "install", err)
	}

	leftovers, err := r.leftovers(wanted.Name)
	if err != nil {
		return err
	}
	upgrade := action.NewUpgrade(r.config)
	upgrade.Namespace, upgrade.Timeout, upgrade.MaxHistory = r.namespace, timeout, keepRevisions
	upgrade.ResetValues = true
	upgrade.SkipSchemaValidation, upgrade.TakeOwnership = true, wanted.Adopt
	done, err := upgrade.RunWithContext(ctx, wanted.Name, h, values)
	if err != nil {
		return r.failed(ctx, wanted.Name, "upgrade", err)
	}
	return r.deleteLeftovers(wanted.Name, leftovers, done.Manifest)
}

// failed words an error; an interrupt stays one.
func (r *Releases) failed(ctx context.Context, name, verb string, err error) error {
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	default:
		return fmt.Errorf("%s release %s: %s", verb, name, said(err))
	}
}

// Uninstall removes the release and waits until its pods are gone. It tells
// whether there was one. Objects with the keep policy stay.
func (r *Releases) Uninstall(ctx context.Context, name string, timeout time.Duration) (bool, error) {
	last, err := r.last(name)
	if err != nil || last == nil {
		return false, err
	}
	uninstall := action.NewUninstall(r.config)
	uninstall.Timeout = timeout
	uninstall.Wait = true
	uninstall.IgnoreNotFound = true
	uninstall.DeletionPropagation = "foreground" // the objects go after their pods
	ended := make(chan error, 1)
	go func() {
		_, err := uninstall.Run(name)
		ended <- err
	}()
	// Helm can't be interrupted here. The release stays marked as being
	// uninstalled when the process ends now, and the next run goes on.
	select {
	case <-ctx.Done():
		return true, ctx.Err()
	case err = <-ended:
	}
	if err != nil {
		return true, fmt.Errorf("uninstall release %s: %w", name, err)
	}
	return true, nil
}

// Deployed says whether there is anything of the release.
func (r *Releases) Deployed(name string) (bool, error) {
	last, err := r.last(name)
	return last != nil, err
}

// Value is what a release's newest revision was installed with, defaults
// included; path is dotted. It is nil when there is no release or no such value.
func (r *Releases) Value(name, path string) (any, error) {
	last, err := r.last(name)
	if err != nil || last == nil {
		return nil, err
	}
	values, err := chartutil.CoalesceValues(last.Chart, last.Config)
	if err != nil {
		return nil, fmt.Errorf("release %s: %w", name, err)
	}
	value, _, err := unstructured.NestedFieldNoCopy(values.AsMap(), strings.Split(path, ".")...)
	if err != nil {
		return nil, fmt.Errorf("release %s: %w", name, err)
	}
	return value, nil
}

// last is the newest revision, or nil.
func (r *Releases) last(name string) (*release.Release, error) {
	last, err := r.config.Releases.Last(name)
	if errors.Is(err, driver.ErrReleaseNotFound) || errors.Is(err, driver.ErrNoDeployedReleases) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("release %s: %w", name, err)
	}
	return last, nil
}

// render renders as Helm will, with what the cluster offers.
func (r *Releases) render(wanted Release, isUpgrade bool) (*Rendering, error) {
	version, apis, err := r.offers()
	if err != nil {
		return nil, err
	}
	return wanted.Chart.render(RenderOptions{
		Release: wanted.Name, Namespace: r.namespace, Values: wanted.Values,
		KubeVersion: version,
	}, apis, isUpgrade)
}

func sameValues(a, b chartutil.Values) bool {
	return len(a) == 0 && len(b) == 0 || reflect.DeepEqual(asJSON(a), asJSON(b))
}
