package chart

import (
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"helm.sh/helm/v3/pkg/action"
	"helm.sh/helm/v3/pkg/chartutil"
	kubefake "helm.sh/helm/v3/pkg/kube/fake"
	"helm.sh/helm/v3/pkg/release"
	"helm.sh/helm/v3/pkg/storage"
	"helm.sh/helm/v3/pkg/storage/driver"
)

// inMemory keeps releases as a cluster does, in a cluster that takes every
// object. What happens to real objects is for the scenarios on a cluster.
func inMemory(t *testing.T) *Releases {
	capabilities := chartutil.DefaultCapabilities.Copy()
	version, err := chartutil.ParseKubeVersion(KubeVersion)
	require.NoError(t, err)
	capabilities.KubeVersion = *version
	memory := driver.NewMemory()
	memory.SetNamespace("cloud")
	return &Releases{
		namespace: "cloud",
		config: &action.Configuration{
			Releases:     storage.Init(memory),
			KubeClient:   &kubefake.PrintingKubeClient{Out: io.Discard},
			Capabilities: capabilities,
			Log:          func(string, ...any) {}, // Helm may go on talking when the test has ended
		},
		offers: func() (string, chartutil.VersionSet, error) { return "v" + KubeVersion, nil, nil },
	}
}

func leaf(t *testing.T, greeting string) Release {
	return Release{Name: "home", Chart: library(t, "leaf"), Values: map[string]any{"greeting": greeting}}
}

func apply(t *testing.T, r *Releases, wanted Release) *Plan {
	t.Helper()
	plan, err := r.Plan(t.Context(), wanted)
	require.NoError(t, err)
	require.NoError(t, r.Apply(t.Context(), wanted, plan, time.Minute))
	return plan
}

func revision(t *testing.T, r *Releases) (int, release.Status) {
	t.Helper()
	last, err := r.last("home")
	require.NoError(t, err)
	require.NotNil(t, last)
	return last.Version, last.Info.Status
}

func TestSecondApplyMakesNoRevision(t *testing.T) {
	r := inMemory(t)
	plan := apply(t, r, leaf(t, "hello"))
	require.Equal(t, Install, plan.Action)
	require.Equal(t, []Change{{"create", "ConfigMap home-leaf"}}, plan.Changes)

	plan = apply(t, r, leaf(t, "hello"))
	require.Equal(t, Unchanged, plan.Action)
	number, status := revision(t, r)
	require.Equal(t, 1, number)
	require.Equal(t, release.StatusDeployed, status)
}

func TestPlanTellsWhatChanges(t *testing.T) {
	r := inMemory(t)
	apply(t, r, leaf(t, "hello"))

	plan := apply(t, r, leaf(t, "bonjour"))
	require.Equal(t, Upgrade, plan.Action)
	require.Equal(t, []Change{{"update", "ConfigMap home-leaf"}}, plan.Changes)

	more := leaf(t, "bonjour")
	more.Values["port"] = 8080 // the notes alone say it
	plan = apply(t, r, more)
	require.Equal(t, Upgrade, plan.Action)
	require.Empty(t, plan.Changes)
	require.Equal(t, "values differ, objects don't", plan.Reason)

	newer := more
	newer.Chart = library(t, "leaf")
	newer.Chart.Version, newer.Chart.meta.Version = "0.2.0", "0.2.0"
	newer.Chart.files["Chart.yaml"] = []byte("{apiVersion: v2, name: leaf, version: 0.2.0}")
	plan, err := r.Plan(t.Context(), newer)
	require.NoError(t, err)
	require.Equal(t, "chart 0.1.0 → 0.2.0", plan.Reason)
}

func TestInterruptedRevisionIsTakenOver(t *testing.T) {
	for _, status := range []release.Status{
		release.StatusPendingInstall, release.StatusPendingUpgrade, release.StatusPendingRollback, release.StatusFailed,
	} {
		t.Run(status.String(), func(t *testing.T) {
			r := inMemory(t)
			apply(t, r, leaf(t, "hello"))
			last, err := r.last("home")
			require.NoError(t, err)
			last.SetStatus(status, "left behind")
			require.NoError(t, r.config.Releases.Update(last))

			plan := apply(t, r, leaf(t, "hello"))
			require.Equal(t, Recover, plan.Action)
			require.Equal(t, "revision 1 is "+status.String(), plan.Reason)
			number, now := revision(t, r)
			require.Equal(t, 2, number)
			require.Equal(t, release.StatusDeployed, now)
		})
	}
}

func TestValueIsWhatTheReleaseWasInstalledWith(t *testing.T) {
	r := inMemory(t)
	value := func(path string) any {
		found, err := r.Value("home", path)
		require.NoError(t, err)
		return found
	}
	require.Nil(t, value("greeting"), "there is no release yet")
	apply(t, r, leaf(t, "bonjour"))
	require.Equal(t, "bonjour", value("greeting"))
	require.NotNil(t, value("port"), "a default")
	require.Nil(t, value("no.such.value"))
}

func TestInterruptedUninstallIsEndedFirst(t *testing.T) {
	r := inMemory(t)
	apply(t, r, leaf(t, "hello"))
	last, err := r.last("home")
	require.NoError(t, err)
	last.SetStatus(release.StatusUninstalling, "left behind")
	require.NoError(t, r.config.Releases.Update(last))

	plan := apply(t, r, leaf(t, "hello"))
	require.Equal(t, Recover, plan.Action)
	number, now := revision(t, r)
	require.Equal(t, 1, number, "it is a new release")
	require.Equal(t, release.StatusDeployed, now)
}

func TestUninstallOfNothingIsNoError(t *testing.T) {
	r := inMemory(t)
	was, err := r.Uninstall(t.Context(), "home", time.Minute)
	require.NoError(t, err)
	require.False(t, was)

	apply(t, r, leaf(t, "hello"))
	was, err = r.Uninstall(t.Context(), "home", time.Minute)
	require.NoError(t, err)
	require.True(t, was)
	deployed, err := r.Deployed("home")
	require.NoError(t, err)
	require.False(t, deployed)
}

func TestImpossibleValuesReachNoRelease(t *testing.T) {
	r := inMemory(t)
	_, err := r.Plan(t.Context(), leaf(t, "hi"))
	require.EqualError(t, err, "values: greeting: value must be one of 'hello', 'bonjour'")
	deployed, err := r.Deployed("home")
	require.NoError(t, err)
	require.False(t, deployed)
}

func TestComparingLooksAtObjectsNotAtText(t *testing.T) {
	changes, err := compare(
		"---\n# Source: a\nkind: A\nmetadata: {name: x}\ndata: {k: v}\n---\nkind: B\nmetadata: {name: b}\n",
		"---\nmetadata:\n  name: x\nkind: A\ndata:\n    k: v\n\n\n---\nkind: C\nmetadata: {name: z}\n")
	require.NoError(t, err)
	require.Equal(t, []Change{{"create", "C z"}, {"delete", "B b"}}, changes)
}
