package charts_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/tmorin/homecloud/pkg/charttest"
)

// workload is an object that makes pods.
type workload struct {
	name     string // kind/name
	template corev1.PodTemplateSpec
}

func workloads(r *charttest.Rendering) (found []workload) {
	for _, o := range charttest.All[*appsv1.Deployment](r) {
		found = append(found, workload{"Deployment/" + o.Name, o.Spec.Template})
	}
	for _, o := range charttest.All[*appsv1.DaemonSet](r) {
		found = append(found, workload{"DaemonSet/" + o.Name, o.Spec.Template})
	}
	for _, o := range charttest.All[*batchv1.Job](r) {
		found = append(found, workload{"Job/" + o.Name, o.Spec.Template})
	}
	return found
}

func (w workload) containers() []corev1.Container {
	return append(append([]corev1.Container{}, w.template.Spec.InitContainers...), w.template.Spec.Containers...)
}

// everyWorkload calls f with each workload of each scenario.
func everyWorkload(t *testing.T, f func(t *testing.T, w workload)) {
	eachScenario(t, func(t *testing.T, chart *charttest.Chart, _ string, scenario charttest.Option) {
		for _, w := range workloads(chart.Render(t, scenario, inCluster)) {
			t.Run(w.name, func(t *testing.T) { f(t, w) })
		}
	})
}

// kept are the capabilities that were measured to be needed. Whatever else asks for one must be measured first.
var kept = map[string][]corev1.Capability{
	"samba":      {"NET_BIND_SERVICE", "SETGID", "SETUID"},
	"nfs":        {"DAC_READ_SEARCH", "FOWNER", "SETGID", "SETUID"},
	"own-state":  {"CHOWN"},
	"keepalived": {"NET_ADMIN", "NET_RAW"},
}

// mayBeRoot are the containers whose daemon becomes other users, or whose files only root may read.
var mayBeRoot = map[string]bool{
	"samba": true, "nfs": true, "first-accounts": true, "accounts": true, "own-state": true, "keepalived": true, "health": true,
}

func TestContainersHoldNoMoreThanTheyNeed(t *testing.T) {
	everyWorkload(t, func(t *testing.T, w workload) {
		pod := w.template.Spec
		require.NotNil(t, pod.AutomountServiceAccountToken)
		require.False(t, *pod.AutomountServiceAccountToken)
		require.Equal(t, corev1.SeccompProfileTypeRuntimeDefault, pod.SecurityContext.SeccompProfile.Type)
		for _, c := range w.containers() {
			security := c.SecurityContext
			require.NotNil(t, security, c.Name)
			require.Nil(t, security.Privileged, c.Name)
			require.True(t, *security.ReadOnlyRootFilesystem, c.Name)
			require.False(t, *security.AllowPrivilegeEscalation, c.Name)
			require.Equal(t, []corev1.Capability{"ALL"}, security.Capabilities.Drop, c.Name)
			require.Equal(t, kept[c.Name], security.Capabilities.Add, c.Name)
			require.Equal(t, mayBeRoot[c.Name], *security.RunAsUser == 0, c.Name)
			if c.Name != "nfs" { // name_to_handle_at: see the chart
				require.Nil(t, security.SeccompProfile, c.Name)
			}
		}
	})
}

func TestContainersHaveRequestsAndAMemoryLimit(t *testing.T) {
	everyWorkload(t, func(t *testing.T, w workload) {
		for _, c := range w.containers() {
			require.False(t, c.Resources.Requests.Cpu().IsZero(), c.Name)
			require.False(t, c.Resources.Requests.Memory().IsZero(), c.Name)
			require.False(t, c.Resources.Limits.Memory().IsZero(), c.Name)
			require.True(t, c.Resources.Limits.Cpu().IsZero(), "%s: a limit of processor time makes a family wait beside idle cores", c.Name)
		}
	})
}

func TestContainersRunNoShell(t *testing.T) {
	shell := regexp.MustCompile(`(^|/)(ba|da|a)?sh$`)
	everyWorkload(t, func(t *testing.T, w workload) {
		for _, c := range w.containers() {
			for _, word := range append(append([]string{}, c.Command...), c.Args...) {
				require.NotRegexp(t, shell, word, c.Name)
			}
		}
	})
}

// Helm 4 applies on the server's side, which refuses duplicates in these lists.
func TestContainersHaveNoDuplicates(t *testing.T) {
	everyWorkload(t, func(t *testing.T, w workload) {
		ports := map[string]bool{}
		for _, c := range w.containers() {
			seen := map[string]bool{}
			for _, e := range c.Env {
				require.False(t, seen["env "+e.Name], "%s: %s twice", c.Name, e.Name)
				seen["env "+e.Name] = true
			}
			for _, m := range c.VolumeMounts {
				require.False(t, seen["mount "+m.MountPath], "%s: %s twice", c.Name, m.MountPath)
				seen["mount "+m.MountPath] = true
			}
			for _, p := range c.Ports {
				key := string(p.Protocol) + " " + p.Name
				require.False(t, ports[key], "%s: %s twice", c.Name, key)
				ports[key] = true
				// The API server sets it for pods on the host's network; leaving it out looks like drift.
				require.Equal(t, p.ContainerPort, p.HostPort, "%s: %s", c.Name, p.Name)
			}
		}
	})
}

func TestDigestWinsOverTag(t *testing.T) {
	digest := "sha256:" + strings.Repeat("0123456789abcdef", 4)
	charttest.Load(t, "platform").Render(t, charttest.ValuesFiles("platform/ci/vip-values.yaml"), charttest.Set("vip.image.digest", digest), inCluster).
		Object("DaemonSet", "homecloud-platform-vip").Field("spec.template.spec.containers[name=keepalived].image").
		Equals("ghcr.io/tmorin/homecloud/keepalived@" + digest)
}

// Every daemon that touches the shares is started through the gate, and sees the disks in the one way that follows one
// which leaves and comes back.
func TestDaemonsStartBehindTheGate(t *testing.T) {
	daemons := map[string]bool{"syncthing": true, "samba": true, "nfs": true}
	everyWorkload(t, func(t *testing.T, w workload) {
		for _, c := range w.containers() {
			for _, m := range c.VolumeMounts {
				if m.Name != "data" {
					continue
				}
				require.Equal(t, corev1.MountPropagationHostToContainer, *m.MountPropagation, c.Name)
				require.Empty(t, m.SubPath+m.SubPathExpr, c.Name)
				if c.Name != "reconcile" { // checks the disk by itself
					require.True(t, daemons[c.Name], "%s sees the disks", c.Name)
				}
			}
			if daemons[c.Name] {
				require.Equal(t, []string{"/agent/homecloud-agent", "gate"}, c.Command[:2], c.Name)
			}
		}
	})
}

// What restarts when something changes, by workload. A change that restarts more than it must is an outage.
func TestChangesRestartOnlyWhatReadsThem(t *testing.T) {
	both := []string{"Deployment/homecloud-dnas-nas-node-1", "Deployment/homecloud-dnas-nas-node-2"}
	for change, test := range map[string]struct {
		options []charttest.Option
		want    []string
	}{
		"a device changes hands":      {[]charttest.Option{charttest.Set("devices.alice-phone.owner", "bob"), charttest.Set("shares.photos.access.bob", "write")}, nil},
		"versions are kept less long": {[]charttest.Option{charttest.Set("shares.photos.versions", "7d")}, nil},
		"a person comes":              {[]charttest.Option{charttest.Set("users.carol", map[string]any{}), charttest.Set("shares.dav.access.carol", "read")}, nil},
		"a share goes to a device":    {[]charttest.Option{charttest.Set("discovery", "lan"), charttest.Set("shares.dav.sync.devices", []any{"alice-phone"})}, nil},
		// wsdd is told at its start.
		"a board gets another address": {[]charttest.Option{charttest.Set("nodes.node-2.address", "10.77.0.99")}, both[1:]},
		"guests may read":              {[]charttest.Option{charttest.Set("shares.films.guest", "read")}, nil},
		"consoles may write":           {[]charttest.Option{charttest.Set("shares.roms.nfs.access", "write")}, nil},
		"another Samba":                {[]charttest.Option{charttest.Set("samba.image.tag", "other")}, both},
		"secrets come from elsewhere":  {[]charttest.Option{charttest.Set("secrets.apiServerPorts", []any{8443}), charttest.Set("secrets.ensure", false)}, nil},
	} {
		t.Run(change, func(t *testing.T) {
			before := templates(t)
			after := templates(t, test.options...)
			var restarted []string
			for name, template := range before {
				if template.String() != after[name].String() {
					restarted = append(restarted, name)
				}
			}
			require.ElementsMatch(t, test.want, restarted)
		})
	}
}

func templates(t *testing.T, changes ...charttest.Option) map[string]*corev1.PodTemplateSpec {
	t.Helper()
	options := append([]charttest.Option{charttest.ValuesFiles("dnas/ci/two-boards-values.yaml"), inCluster}, changes...)
	found := map[string]*corev1.PodTemplateSpec{}
	for _, w := range workloads(charttest.Load(t, "dnas").Render(t, options...)) {
		found[w.name] = &w.template
	}
	return found
}
