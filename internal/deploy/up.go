// Package deploy brings a cluster to what the cluster file says, and takes it
// away again: the order of steps, what each of them changes, and what a person
// is told. Helm, Kubernetes and the secrets file each have a package of their
// own below it.
package deploy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/tmorin/homecloud/internal/chart"
	"github.com/tmorin/homecloud/internal/cloud"
	"github.com/tmorin/homecloud/internal/config"
	"github.com/tmorin/homecloud/internal/kube"
	"github.com/tmorin/homecloud/internal/secrets"
	"github.com/tmorin/homecloud/internal/term"
	"github.com/tmorin/homecloud/internal/values"
)

// Up makes a cluster what the cluster file says. Doing it again changes
// nothing.
type Up struct {
	Cluster     *config.Cluster
	SecretsPath string // the secrets file, made when it isn't there
	Library     chart.Library
	Overlay     map[string]any // values on top, in the umbrella's shape
	Kube        *kube.Cluster
	Timeout     time.Duration // for each release, until it is usable
	DryRun      bool          // only tell what would change
	TakeOver    bool          // also what Flux or Argo CD keeps
	MoveData    bool          // also when data's disk or owner isn't the installed one any more
	Steps       *term.Steps

	changes  []string
	edited   map[string]bool // releases of which Diff has found an object changed
	foreseen *secrets.File   // what a dry run believes of the secrets file
	newHome  bool            // a dry run: the namespace of the Secrets isn't there yet
}

// Run does all steps, in order, and returns what changed, a line each. What
// can refuse comes before what changes something.
func (u *Up) Run(ctx context.Context) (changes []string, err error) {
	releases, err := cloud.Releases(u.Cluster, u.Library, u.Overlay)
	if err != nil {
		return nil, err
	}
	steps := []struct {
		title string
		do    func(context.Context, *term.Step) error
	}{
		{"cluster answers", u.reach},
		{"cloud is this file's", func(ctx context.Context, s *term.Step) error {
			return errors.Join(u.sameCloud(ctx, s), u.sameData(releases), u.notKept(ctx))
		}},
		{"nodes are ready", u.nodes},
		{"secrets file", u.secretsFile},
		{"namespaces", func(ctx context.Context, s *term.Step) error { return u.namespaces(ctx, s, releases) }},
	}
	for _, step := range steps {
		if err := u.step(ctx, step.title, step.do); err != nil {
			return u.changes, err
		}
	}
	if !u.DryRun {
		unlock, err := u.Kube.Lock(ctx, config.Release)
		if err != nil {
			return u.changes, err
		}
		defer unlock()
	}
	if err := u.step(ctx, "Secrets", u.secrets); err != nil {
		return u.changes, err
	}
	for _, r := range releases {
		if err := u.release(ctx, r); err != nil {
			return u.changes, err
		}
	}
	u.refresh(ctx, releases)
	return u.changes, nil
}

// refresh lets changes that restart nothing, such as a new share, take effect
// now. It only hastens what happens anyway.
func (u *Up) refresh(ctx context.Context, releases []cloud.Release) {
	if len(u.changes) == 0 || u.DryRun {
		return
	}
	for _, r := range releases {
		if !r.On {
			continue
		}
		if err := u.Kube.Refresh(ctx, r.Namespace, r.Name); err != nil {
			slog.Debug("changes take effect later", "release", r.Name, "because", err)
		}
	}
}

// changed notes a change, made or foreseen.
func (u *Up) changed(format string, arguments ...any) {
	u.changes = append(u.changes, fmt.Sprintf(format, arguments...))
}

func (u *Up) step(ctx context.Context, title string, do func(context.Context, *term.Step) error) error {
	return u.Steps.Run(title, func(s *term.Step) error { return do(ctx, s) })
}

func (u *Up) reach(ctx context.Context, s *term.Step) error {
	version, err := u.Kube.Version(ctx)
	if err == nil {
		s.Done("Kubernetes %s", version)
	}
	return err
}

// sameCloud refuses the file of another cloud: every disk and every
// synchronised folder bears the name, so all gates would close.
func (u *Up) sameCloud(_ context.Context, s *term.Step) error {
	s.Done("%s", u.Cluster.Name)
	return SameCloud(u.Kube, u.Cluster.Name)
}

// SameCloud refuses a cluster that runs another cloud than the one of a cluster
// file. The error wraps secrets.ErrOtherCloud.
func SameCloud(cluster *kube.Cluster, cloud string) error {
	releases, err := chart.Open(cluster.RESTGetter(config.Release), config.Release, debugLog)
	if err != nil {
		return err
	}
	name, err := releases.Value(config.Release, values.ChartDNAS+".cluster")
	if err != nil {
		return err
	}
	if name != nil && name != cloud {
		return fmt.Errorf("the cloud on this cluster is named %v, the file's %s: its disks and folders bear the name, and none would be served: %w",
			name, cloud, secrets.ErrOtherCloud)
	}
	return nil
}

// nodes refuses a cluster that lacks a board of the file, or whose boards
// aren't prepared.
func (u *Up) nodes(ctx context.Context, s *term.Step) error {
	expected := map[string]map[string]string{}
	for _, n := range u.Cluster.Nodes {
		expected[n.Name] = nil
	}
	if len(u.Cluster.DNAS.Shares) > 0 {
		for _, name := range u.Cluster.DNAS.Nodes {
			expected[name] = map[string]string{config.NodeLabel: "true"}
		}
	}
	s.Done("%d", len(expected))
	return u.Kube.CheckNodes(ctx, expected, u.besideNodes)
}

// besideNodes says what can't stay in the cluster file without these boards,
// and what that costs.
func (u *Up) besideNodes(gone []string) string {
	stay, lost := 0, false
	for _, name := range u.Cluster.DNAS.Nodes {
		if slices.Contains(gone, name) {
			lost = true
		} else {
			stay++
		}
	}
	if u.Cluster.Network.VIP == nil || !lost || stay > 1 {
		return ""
	}
	return fmt.Sprintf(", together with network.vip, which needs two boards: nobody finds the shares at %s then, only at the address of the board that stays",
		u.Cluster.Network.VIP.Address)
}

func (u *Up) namespaces(ctx context.Context, s *term.Step, releases []cloud.Release) error {
	var done []string
	for _, r := range releases {
		if !r.NeedsNamespace() {
			continue
		}
		change, err := u.Kube.EnsureNamespace(ctx, r.Namespace, kube.Privileged, u.DryRun)
		if err != nil {
			return err
		}
		if change == "create" && r.Namespace == config.Release {
			u.newHome = u.DryRun
		}
		if change != "" {
			u.changed("%s namespace %s", change, r.Namespace)
			done = append(done, change+" "+r.Namespace)
		}
	}
	s.Done("%s", u.outcome(done))
	return nil
}

func (u *Up) release(ctx context.Context, r cloud.Release) error {
	releases, err := chart.Open(u.Kube.RESTGetter(r.Namespace), r.Namespace, debugLog)
	if err != nil {
		return err
	}
	if !r.On {
		return u.removeRelease(ctx, releases, r)
	}
	var plan *chart.Plan
	err = u.step(ctx, "release "+r.Name, func(ctx context.Context, s *term.Step) error {
		if plan, err = releases.Plan(ctx, r.Release); err != nil {
			return err
		}
		if plan.Action == chart.Unchanged && u.edited[r.Name] {
			plan.Action, plan.Reason = chart.Upgrade, "objects were changed by hand"
		}
		if plan.Action == chart.Unchanged {
			s.Done("%s", u.outcome(nil))
			return u.unkeep(ctx, r)
		}
		s.Done("%s", u.outcome([]string{describe(plan)}))
		u.changed("release %s (chart %s %s): %s", r.Name, r.Chart.Name, r.Chart.Version, describe(plan))
		for _, c := range plan.Changes {
			u.changed("  %s %s", c.Verb, c.Object)
		}
		if err := u.sayWhatGoes(s, releases, r); err != nil {
			return err
		}
		if u.DryRun {
			return nil
		}
		if plan.Action == chart.Recover {
			s.Say("%s: %s", r.Name, plan.Reason)
		}
		s.Waits("the API server, and hooks of the chart")
		r.Adopt = u.TakeOver
		if err := releases.Apply(ctx, r.Release, plan, u.Timeout); err != nil {
			return u.explainHooks(ctx, r, plan, err)
		}
		return u.unkeep(ctx, r)
	})
	if err != nil || u.DryRun {
		return err
	}
	return u.step(ctx, "usable: "+r.Name, func(ctx context.Context, s *term.Step) error {
		workloads, err := kube.Workloads(plan.Rendering.Manifest, r.Namespace)
		if err != nil {
			return err
		}
		last, err := u.Kube.Wait(ctx, workloads, u.Timeout, func(text string) { s.Waits("%s", text) })
		if last != "" {
			s.Done("last was %s", last)
		}
		return err
	})
}

// sayWhatGoes tells of the shares, people and boards that go.
func (u *Up) sayWhatGoes(s *term.Step, releases *chart.Releases, r cloud.Release) error {
	gone, err := whatGoes(releases, r)
	for _, c := range gone {
		u.changed("  %s", c.Why[0])
		if !u.DryRun {
			s.Say("%s", c.Why[0])
		}
	}
	return err
}

// removeRelease takes away a release that the file has no use for any more.
func (u *Up) removeRelease(ctx context.Context, releases *chart.Releases, r cloud.Release) error {
	deployed, err := releases.Deployed(r.Name)
	if err != nil || !deployed {
		return err
	}
	u.changed("uninstall release %s: the cluster file has no use for it", r.Name)
	if u.DryRun {
		return nil
	}
	return u.step(ctx, "release "+r.Name, func(ctx context.Context, s *term.Step) error {
		s.Done("uninstalled")
		_, err := releases.Uninstall(ctx, r.Name, u.Timeout)
		return err
	})
}

// explainHooks adds to a failed install what the pods of its hooks say.
func (u *Up) explainHooks(ctx context.Context, r cloud.Release, plan *chart.Plan, failed error) error {
	if ctx.Err() != nil {
		return failed
	}
	var manifests []string
	for _, h := range plan.Rendering.Hooks {
		manifests = append(manifests, h.Manifest)
	}
	hooks, err := kube.Workloads(strings.Join(manifests, "\n---\n"), r.Namespace)
	if err != nil || len(hooks) == 0 {
		return failed
	}
	if why := u.Kube.Explain(ctx, hooks); why != "" {
		return errors.New(failed.Error() + "\n" + why)
	}
	return failed
}

// describe is what happens to a release, in a few words.
func describe(plan *chart.Plan) string {
	count := map[string]int{}
	for _, c := range plan.Changes {
		count[c.Verb]++
	}
	var words []string
	for _, verb := range []string{"create", "update", "delete"} {
		if count[verb] > 0 {
			words = append(words, fmt.Sprintf("%s %d", verb, count[verb]))
		}
	}
	if len(words) == 0 {
		return fmt.Sprintf("%s, %s", plan.Action, plan.Reason)
	}
	return fmt.Sprintf("%s, %s", plan.Action, strings.Join(words, ", "))
}

// outcome words what a step did or, in a dry run, would do.
func (u *Up) outcome(words []string) string {
	switch {
	case len(words) == 0:
		return "unchanged"
	case u.DryRun:
		return "would " + strings.Join(words, ", ")
	default:
		return strings.Join(words, ", ")
	}
}
