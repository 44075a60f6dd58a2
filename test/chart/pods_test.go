package chart_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/scheme"
)

// workload is an object that makes pods.
type workload struct {
	name     string // kind/name
	template corev1.PodTemplateSpec
}

func workloads(t testing.TB, text string) []workload {
	t.Helper()
	var found []workload
	for _, object := range objects(t, text) {
		typed, err := scheme.Scheme.New(object.GroupVersionKind())
		require.NoError(t, err)
		require.NoError(t, runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, typed))
		name := object.GetKind() + "/" + object.GetName()
		switch typed := typed.(type) {
		case *appsv1.Deployment:
			found = append(found, workload{name, typed.Spec.Template})
		case *appsv1.DaemonSet:
			found = append(found, workload{name, typed.Spec.Template})
		case *batchv1.Job:
			found = append(found, workload{name, typed.Spec.Template})
		}
	}
	return found
}

func (w workload) containers() []corev1.Container {
	return append(append([]corev1.Container{}, w.template.Spec.InitContainers...), w.template.Spec.Containers...)
}

// everyWorkload calls f with each workload of each scenario.
func everyWorkload(t *testing.T, f func(t *testing.T, w workload), arguments ...string) {
	for _, s := range scenarios(t) {
		t.Run(s.String(), func(t *testing.T) {
			text, err := render(t, s.chart, []string{s.values}, arguments...)
			require.NoError(t, err)
			for _, w := range workloads(t, text) {
				t.Run(w.name, func(t *testing.T) { f(t, w) })
			}
		})
	}
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

func TestEveryImageComesFromTheGlobalRegistry(t *testing.T) {
	everyWorkload(t, func(t *testing.T, w workload) {
		for _, c := range w.containers() {
			require.True(t, strings.HasPrefix(c.Image, "mirror.home:5000/"), "%s: %s", c.Name, c.Image)
			require.NotContains(t, c.Image, "ghcr.io", c.Name)
			require.NotContains(t, c.Image, "docker.io", c.Name)
		}
	}, "--set", "global.imageRegistry=mirror.home:5000")
}

func TestDigestWinsOverTag(t *testing.T) {
	digest := "sha256:" + strings.Repeat("0123456789abcdef", 4)
	text, err := render(t, "platform", []string{root + "/charts/platform/ci/vip-values.yaml"}, "--set", "vip.image.digest="+digest)
	require.NoError(t, err)
	require.Contains(t, text, "image: ghcr.io/tmorin/homecloud/keepalived@"+digest)
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
	values := root + "/charts/dnas/ci/two-boards-values.yaml"
	before := templates(t, values)
	for change, want := range map[string][]string{
		"devices.alice-phone.owner=bob,shares.photos.access.bob=write": nil,
		"shares.photos.versions=7d":                                    nil,
		`users.carol={},shares.dav.access.carol="read"`:                nil,
		"discovery=lan,shares.dav.sync.devices[0]=alice-phone":         nil,
		"nodes.node-2.address=10.77.0.99":                              {"Deployment/homecloud-dnas-nas-node-2"}, // wsdd is told at its start
		"shares.films.guest=read":                                      nil,
		"shares.roms.nfs.access=write":                                 nil,
		"samba.image.tag=other":                                        {"Deployment/homecloud-dnas-nas-node-1", "Deployment/homecloud-dnas-nas-node-2"},
		"secrets.apiServerPorts[0]=8443,secrets.ensure=false":          nil,
	} {
		t.Run(change, func(t *testing.T) {
			flag := "--set"
			if strings.Contains(change, "{}") { // which --set takes for a list
				flag = "--set-json"
			}
			after := templates(t, values, flag, change)
			var restarted []string
			for name, template := range before {
				if !equal(template, after[name]) {
					restarted = append(restarted, name)
				}
			}
			require.ElementsMatch(t, want, restarted)
		})
	}
}

func templates(t testing.TB, values string, arguments ...string) map[string]corev1.PodTemplateSpec {
	t.Helper()
	text, err := render(t, "dnas", []string{values}, arguments...)
	require.NoError(t, err)
	found := map[string]corev1.PodTemplateSpec{}
	for _, w := range workloads(t, text) {
		found[w.name] = w.template
	}
	return found
}

func equal(a, b corev1.PodTemplateSpec) bool { return a.String() == b.String() }
