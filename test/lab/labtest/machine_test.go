package labtest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tmorin/homecloud/test/lab/internal/build"
	"github.com/tmorin/homecloud/test/lab/internal/cluster"
	"github.com/tmorin/homecloud/test/lab/internal/kube"
	"github.com/tmorin/homecloud/test/lab/internal/pki"
)

// slow is how long a test waits before it gives up; on an idle machine nothing takes so long.
const slow = 90 * time.Second

// lab is a lab of this test, driven by its command line.
type lab struct {
	program, name, dir string
}

// program compiles the command once; where no compiler is, HOMECLOUD_LAB_PROGRAMS is the folder
// that has it.
func program(t *testing.T, source, name string) string {
	t.Helper()
	if dir := os.Getenv("HOMECLOUD_LAB_PROGRAMS"); dir != "" {
		return filepath.Join(dir, name)
	}
	path := filepath.Join(t.TempDir(), name)
	c := exec.Command("go", "build", "-o", path, source)
	c.Env = append(os.Environ(), "CGO_ENABLED=0") // the probe runs where no library is
	out, err := c.CombinedOutput()
	require.NoError(t, err, "%s", out)
	return path
}

func (l lab) command(args ...string) *exec.Cmd {
	return exec.Command(l.program, append([]string{"--name", l.name}, args...)...)
}

// run runs `lab ARGS` and returns what it prints.
func (l lab) run(t *testing.T, args ...string) string {
	t.Helper()
	out, code := l.try(t, args...)
	require.Zero(t, code, "lab %s: %s", strings.Join(args, " "), out)
	return out
}

// try is run for commands that may fail; what they said is the output then.
func (l lab) try(t *testing.T, args ...string) (string, int) {
	t.Helper()
	var out, said bytes.Buffer
	c := l.command(args...)
	c.Stdout, c.Stderr = &out, &said
	begin := time.Now()
	err := c.Run()
	t.Logf("lab %s: %.1fs\n%s", strings.Join(args, " "), time.Since(begin).Seconds(), said.String())
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return out.String() + said.String(), exit.ExitCode()
	}
	require.NoError(t, err)
	return out.String(), 0
}

func (l lab) status(t *testing.T) cluster.Status {
	t.Helper()
	out, err := l.command("status", "-o", "json").Output()
	require.NoError(t, err)
	var s cluster.Status
	require.NoError(t, json.Unmarshal(out, &s))
	return s
}

// nodes waits until the nodes are in the given states.
func (l lab) nodes(t *testing.T, want ...string) {
	t.Helper()
	var got []string
	eventually(t, func() error {
		got = nil
		for _, n := range l.status(t).Nodes {
			got = append(got, n.State)
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			return fmt.Errorf("nodes are %v, not %v", got, want)
		}
		return nil
	})
}

func (l lab) api(t *testing.T) api {
	t.Helper()
	keys, err := pki.Open(filepath.Join(l.dir, "pki"))
	require.NoError(t, err)
	c, err := kube.NewClient(l.status(t).Server, keys, "admin")
	require.NoError(t, err)
	return api{c}
}

// api is the cluster as a test sees it.
type api struct{ *kube.Client }

func (a api) apply(t *testing.T, documents string) {
	t.Helper()
	require.NoError(t, a.Apply(context.Background(), documents))
}

func (a api) remove(t *testing.T, documents string) {
	t.Helper()
	require.NoError(t, a.Delete(context.Background(), documents))
}

// ask has the probe in a pod do something, through the API server.
func (a api) ask(pod, path string, parameters ...string) (string, error) {
	values := url.Values{}
	for i := 0; i < len(parameters); i += 2 {
		values.Set(parameters[i], parameters[i+1])
	}
	var answer string
	err := a.Do(context.Background(), http.MethodGet, "/api/v1/namespaces/default/pods/"+pod+":8080/proxy/"+path+"?"+values.Encode(), "", nil, &answer)
	return answer, err
}

// running waits until pods are ready.
func (a api) running(t *testing.T, pods ...string) {
	t.Helper()
	for _, pod := range pods {
		eventually(t, func() error {
			_, err := a.ask(pod, "")
			return err
		})
	}
}

func eventually(t *testing.T, f func() error) {
	t.Helper()
	deadline := time.Now().Add(slow)
	for {
		err := f()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			require.NoError(t, err, "not within %s", slow)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// machine is what a lab could leave behind.
type machine struct {
	Interfaces, Cgroups, Mounts, Loops, Processes []string
	Settings                                      map[string]string
}

// look describes the machine; of processes, mounts and loop devices only those of labs of
// this test, as others are at work on the machine too.
func look(t *testing.T, labs ...lab) machine {
	t.Helper()
	m := machine{Settings: map[string]string{}}
	links, err := net.Interfaces()
	require.NoError(t, err)
	for _, l := range links {
		m.Interfaces = append(m.Interfaces, l.Name)
	}
	for _, l := range labs {
		_ = filepath.WalkDir("/sys/fs/cgroup", func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() && strings.HasPrefix(d.Name(), "lab-"+l.name+"-") {
				m.Cgroups = append(m.Cgroups, path)
			}
			return nil
		})
		mounts, err := os.ReadFile("/proc/self/mountinfo")
		require.NoError(t, err)
		for line := range strings.Lines(string(mounts)) {
			if strings.Contains(line, l.dir+"/") {
				m.Mounts = append(m.Mounts, line)
			}
		}
		backing, _ := filepath.Glob("/sys/block/loop*/loop/backing_file")
		for _, b := range backing {
			if file, _ := os.ReadFile(b); strings.Contains(string(file), l.dir+"/") {
				m.Loops = append(m.Loops, string(file))
			}
		}
		processes, _ := filepath.Glob("/proc/[0-9]*")
		for _, p := range processes {
			line, _ := os.ReadFile(p + "/cmdline")
			groups, _ := os.ReadFile(p + "/cgroup")
			if stat, _ := os.ReadFile(p + "/stat"); bytes.Contains(stat, []byte(") Z ")) {
				continue // ended; the machine's first process takes its time to notice
			}
			if bytes.Contains(line, []byte(l.dir+"/")) || bytes.Contains(groups, []byte("/lab-"+l.name+"-")) {
				m.Processes = append(m.Processes, p+" "+string(line))
			}
		}
	}
	for _, name := range []string{
		"vm/overcommit_memory", "vm/panic_on_oom", "kernel/panic", "kernel/panic_on_oops",
		"kernel/keys/root_maxkeys", "kernel/keys/root_maxbytes", "net/ipv4/ip_forward", "net/ipv4/conf/all/rp_filter",
		"net/netfilter/nf_conntrack_max", "fs/inotify/max_user_watches",
	} {
		b, err := os.ReadFile("/proc/sys/" + name)
		if err == nil {
			m.Settings[name] = string(b)
		}
	}
	return m
}

// image wraps the probe into an archive.
func image(t *testing.T, probe string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "probe.tar")
	require.NoError(t, build.WriteImage(path, "lab.local/probe:1", probe))
	return path
}

// holder is a program inside a node that keeps a file of a disk open.
type holder struct {
	cmd   *exec.Cmd
	in    io.WriteCloser
	lines chan string
}

func hold(t *testing.T, l lab, node, probe, file string) *holder {
	t.Helper()
	for _, n := range l.status(t).Nodes {
		if n.Name == node {
			b, err := os.ReadFile(probe)
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(filepath.Join(n.Root, "root/probe"), b, 0o755))
		}
	}
	h := &holder{cmd: l.command("exec", node, "--", "/root/probe", "hold", file), lines: make(chan string, 1)}
	in, err := h.cmd.StdinPipe()
	require.NoError(t, err)
	out, err := h.cmd.StdoutPipe()
	require.NoError(t, err)
	h.in = in
	require.NoError(t, h.cmd.Start())
	go func() {
		defer close(h.lines)
		b := make([]byte, 256)
		for {
			n, err := out.Read(b)
			if err != nil {
				return
			}
			h.lines <- strings.TrimSpace(string(b[:n]))
		}
	}()
	require.Equal(t, "read ok write ok", <-h.lines)
	return h
}

func (h *holder) again(t *testing.T) string {
	t.Helper()
	_, err := io.WriteString(h.in, "\n")
	require.NoError(t, err)
	return <-h.lines
}

func (h *holder) letGo(t *testing.T) {
	t.Helper()
	require.NoError(t, h.in.Close())
	for range h.lines {
	}
	require.NoError(t, h.cmd.Wait())
}
