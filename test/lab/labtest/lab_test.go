// Package labtest proves the lab on a lab of its own.
package labtest

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tmorin/homecloud/test/lab/internal/cluster"
)

func manifest(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	require.NoError(t, err)
	return string(b)
}

func TestLab(t *testing.T) {
	if testing.Short() {
		t.Skip("makes clusters: `make test-lab` runs it")
	}
	if os.Geteuid() != 0 {
		t.Skip("the lab makes namespaces, cgroups and mounts: run this test as root")
	}
	l := lab{program: program(t, "..", "lab"), name: "labtest", dir: cluster.DefaultDir("labtest")}
	crashed := lab{program: l.program, name: "labcrash", dir: cluster.DefaultDir("labcrash")}
	probe := program(t, "./probe", "probe")
	l.run(t, "down", "--all")
	crashed.run(t, "down", "--all")
	before := look(t, l, crashed)
	require.Empty(t, before.Processes, "an earlier lab of this test")
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("logs: %s", l.dir)
		}
	})

	out, code := l.try(t, "up")
	if code != 0 {
		l.run(t, "down", "--keep") // leave the logs, not the processes
		require.Zero(t, code, out)
	}
	defer func() {
		if t.Failed() {
			l.run(t, "down", "--keep")
		}
	}()
	l.run(t, "load", image(t, probe))
	a := l.api(t)
	a.apply(t, manifest(t, "pods.yaml"))

	t.Run("SecondUpChangesNothing", func(t *testing.T) {
		state, err := os.ReadFile(filepath.Join(l.dir, "lab.json"))
		require.NoError(t, err)
		l.run(t, "up")
		after, err := os.ReadFile(filepath.Join(l.dir, "lab.json"))
		require.NoError(t, err)
		require.Equal(t, string(state), string(after))
	})

	t.Run("OtherSpecIsRefused", func(t *testing.T) {
		out, code := l.try(t, "up", "--memory", "4Gi")
		require.Equal(t, 1, code)
		require.Contains(t, out, "2 nodes of 2048 MiB")
	})

	t.Run("MachineSettingsStayAsTheyWere", func(t *testing.T) {
		l.nodes(t, "Ready", "Ready")
		now := look(t)
		require.Empty(t, leftovers(before, now))
	})

	t.Run("MemoryOfNodesIsReal", func(t *testing.T) {
		require.Contains(t, l.run(t, "exec", "node-1", "--", "cat", "/proc/meminfo"), fmt.Sprintf("MemTotal: %d kB", 2<<20))
		a.running(t, "eater")
		_, err := a.ask("eater", "eat", "mib", "1900")
		require.Error(t, err, "a pod that takes more than the node has is killed")
		eventually(t, func() error {
			var pod struct {
				Status struct {
					ContainerStatuses []struct {
						State, LastState struct{ Terminated struct{ Reason string } }
					}
				}
			}
			if err := a.Do(t.Context(), http.MethodGet, "/api/v1/namespaces/default/pods/eater", "", nil, &pod); err != nil {
				return err
			}
			c := pod.Status.ContainerStatuses[0]
			if c.State.Terminated.Reason != "OOMKilled" && c.LastState.Terminated.Reason != "OOMKilled" {
				return fmt.Errorf("its state is %+v", c)
			}
			return nil
		})
		l.nodes(t, "Ready", "Ready")
	})

	t.Run("ServicesAndNamesWorkAcrossNodes", func(t *testing.T) {
		a.running(t, "client", "server")
		eventually(t, func() error {
			answer, err := a.ask("client", "get", "url", "http://server.default.svc.cluster.local/")
			if err == nil && answer != "server" {
				return fmt.Errorf("answered by %q", answer)
			}
			return err
		})
		answer, err := a.ask("client", "lookup", "name", "kubernetes.default.svc.cluster.local")
		require.NoError(t, err)
		require.Equal(t, "10.96.0.1", answer)
	})

	t.Run("VolumesFollowTheirClaims", func(t *testing.T) {
		a.running(t, "keeper")
		for _, volume := range []string{"deleted", "retained"} {
			_, err := a.ask("keeper", "write", "path", "/"+volume+"/file", "text", volume)
			require.NoError(t, err)
		}
		folder := func(claim string) []string {
			found, err := filepath.Glob(filepath.Join(l.dir, "nodes/*/root/var/lib/lab/volumes/*_default_"+claim))
			require.NoError(t, err)
			return found
		}
		require.Len(t, folder("deleted"), 1)
		require.Len(t, folder("retained"), 1)
		a.remove(t, manifest(t, "keeper.yaml"))
		eventually(t, func() error {
			if left := folder("deleted"); len(left) > 0 {
				return fmt.Errorf("%v is still there", left)
			}
			return nil
		})
		kept, err := os.ReadFile(filepath.Join(folder("retained")[0], "file"))
		require.NoError(t, err)
		require.Equal(t, "retained", string(kept))
	})

	t.Run("PoliciesDeny", func(t *testing.T) {
		reach := func() error {
			_, err := a.ask("client", "get", "url", "http://server/")
			return err
		}
		require.NoError(t, reach())
		a.apply(t, manifest(t, "deny.yaml"))
		eventually(t, func() error {
			if reach() == nil {
				return fmt.Errorf("the server can still be reached")
			}
			return nil
		})
		a.remove(t, manifest(t, "deny.yaml"))
		eventually(t, reach)
	})

	t.Run("ClientIsANeighbourOnTheLAN", func(t *testing.T) {
		require.Contains(t, l.run(t, "lan", "--", "ip", "-4", "-o", "addr", "show", "eth0"), "10.77.0.200/24")
		wd, err := os.Getwd()
		require.NoError(t, err)
		require.Equal(t, wd+"\n", l.run(t, "lan", "--", "pwd"))
		_, code := l.try(t, "lan", "--", "sh", "-c", "exit 7")
		require.Equal(t, 7, code)
		_, code = l.try(t, "exec", "node-2", "--", "sh", "-c", "kill -TERM $$")
		require.Equal(t, 128+int(syscall.SIGTERM), code)
		out := l.run(t, "lan", "--", "ip", "route", "get", "10.77.0.11")
		require.Contains(t, out, "dev eth0")
		_, code = l.try(t, "lan", "--", "ip", "route", "get", "10.96.0.10")
		require.NotZero(t, code, "Services are no addresses of the LAN")
	})

	t.Run("PulledDiskGivesErrorsAndComesBackWithItsData", func(t *testing.T) {
		a.running(t, "watcher")
		_, err := a.ask("watcher", "write", "path", "/disks/data/before", "text", "kept")
		require.NoError(t, err)
		l.run(t, "exec", "node-1", "--", "sync", "/srv/homecloud/data/before")
		h := hold(t, l, "node-1", probe, "/srv/homecloud/data/held")
		require.Equal(t, "read ok write ok", h.again(t))

		l.run(t, "disk", "detach", "node-1", "data")
		answer := h.again(t)
		require.Regexp(t, `^read EIO write (EIO|EROFS)$`, answer)
		_, err = a.ask("watcher", "read", "path", "/disks/data/before")
		require.Error(t, err, "the pod sees the disk go")
		out, code := l.try(t, "exec", "node-1", "--", "touch", "/srv/homecloud/data/stray")
		require.NotZero(t, code, "nothing can be written on the system disk instead: %s", out)
		h.letGo(t)

		l.run(t, "disk", "attach", "node-1", "data")
		answer, err = a.ask("watcher", "read", "path", "/disks/data/before")
		require.NoError(t, err, "the pod sees the disk come back")
		require.Equal(t, "kept", answer)
	})

	t.Run("LostNodesAreNoticedAndComeBack", func(t *testing.T) {
		l.run(t, "net", "cut", "node-1")
		l.run(t, "node", "kill", "node-2")
		l.nodes(t, "NotReady", "off")
		out, code := l.try(t, "exec", "node-2", "--", "true")
		require.Equal(t, 1, code)
		require.Contains(t, out, "lab node start node-2")

		l.run(t, "net", "heal", "node-1")
		l.run(t, "node", "start", "node-2")
		l.run(t, "exec", "node-2", "--", "mountpoint", "/srv/homecloud/data") // at once
		l.nodes(t, "Ready", "Ready")
		a.running(t, "client", "server")
	})

	t.Run("APIComesBackAfterACrash", func(t *testing.T) {
		l.run(t, "api", "stop")
		require.Equal(t, "stopped", l.status(t).API)
		l.run(t, "api", "start")
		require.Equal(t, "answers", l.status(t).API)
		l.nodes(t, "Ready", "Ready")
	})

	t.Run("KilledUpLeavesNothingAfterDown", func(t *testing.T) {
		// Beside the other lab: two at once.
		for _, moment := range []string{"run/lan.json", "nodes/node-1/node.json", "log/node-2.log"} {
			c := crashed.command("up")
			require.NoError(t, c.Start())
			eventually(t, func() error {
				_, err := os.Stat(filepath.Join(crashed.dir, moment))
				return err
			})
			require.NoError(t, c.Process.Kill())
			_ = c.Wait() // it was killed
			if s := crashed.status(t); s.LANPID != 0 {
				// It may have ended by itself: a LAN whose maker dies before it stands gives up.
				if err := syscall.Kill(s.LANPID, syscall.SIGKILL); err != syscall.ESRCH {
					require.NoError(t, err)
				}
			}
			crashed.run(t, "down", "--all")
			require.Empty(t, leftovers(before, look(t, crashed)), moment)
			require.NoDirExists(t, crashed.dir)
		}
		l.nodes(t, "Ready", "Ready")
	})

	t.Run("KeptLabContinues", func(t *testing.T) {
		l.run(t, "down", "--keep")
		require.Empty(t, leftovers(before, look(t, l)))
		l.run(t, "up")
		l.nodes(t, "Ready", "Ready")
		a := l.api(t)
		a.running(t, "watcher")
		answer, err := a.ask("watcher", "read", "path", "/disks/data/before")
		require.NoError(t, err)
		require.Equal(t, "kept", answer)
	})

	l.run(t, "down", "--all")
	require.Empty(t, leftovers(before, look(t, l, crashed)))
	require.NoDirExists(t, l.dir)
}

// leftovers lists what is on the machine now and wasn't before.
func leftovers(before, now machine) []string {
	out := slices.Concat(now.Cgroups, now.Mounts, now.Loops, now.Processes)
	for _, i := range now.Interfaces {
		if !slices.Contains(before.Interfaces, i) {
			out = append(out, "interface "+i)
		}
	}
	// A setting that wasn't there is that of a kernel module the lab was the first to need.
	for name, value := range before.Settings {
		if now.Settings[name] != value {
			out = append(out, name+" is "+strings.TrimSpace(now.Settings[name]))
		}
	}
	return out
}
