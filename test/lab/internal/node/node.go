// Package node is the inside of a node: the first process of its namespaces, which builds
// the node's own file tree and keeps containerd, kubelet, kube-proxy and the policy
// controller running. It knows nothing of the machine around it.
package node

import (
	"bytes"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"text/template"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tmorin/homecloud/test/lab/internal/cgroup"
	"github.com/tmorin/homecloud/test/lab/internal/disk"
	"github.com/tmorin/homecloud/test/lab/internal/network"
	"github.com/tmorin/homecloud/test/lab/internal/supervise"
)

// Config is all that a node is told.
type Config struct {
	network.Node
	Memory int64       `json:"memory"`
	Disks  []disk.Disk `json:"disks"`
	// Root is the folder that becomes the node's root; the others are bound into it.
	Root    string `json:"root"`
	Program string `json:"program"`
	Keys    string `json:"keys"`
	Images  string `json:"images"`
	Store   string `json:"store"`
	// Fresh nodes forget the containers of an earlier cluster that used the same store.
	Fresh bool `json:"fresh,omitempty"`
	// Unified is cgroup version 2.
	Unified bool `json:"unified,omitempty"`
}

// Volumes is where the provisioner makes volumes, seen from inside.
const Volumes = "/var/lib/lab/volumes"

// Socket is containerd's, seen from inside.
const Socket = "/run/containerd/containerd.sock"

// program is where the lab's programs lie inside a node.
const program = "/opt/lab"

//go:embed config
var configs embed.FS

// The descriptors between a node and its maker. On Go the node waits for its network: a byte
// means go, an end means that its maker died, and the node with it. On Booted it writes a byte
// when commands can run inside and its disks are there, an end means that it failed.
const (
	Go     = 3
	Booted = 4
)

// Init runs the node; it ends only with an error.
func Init(path string) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var c Config
	if err := json.Unmarshal(b, &c); err != nil {
		return err
	}
	slog.Info("starting", "node", c.Name)
	booted := os.NewFile(Booted, "booted")
	unix.CloseOnExec(Booted) // what it starts must not hold it open
	trees, err := cgroup.Own()
	if err != nil {
		return err
	}
	for _, step := range []struct {
		name string
		do   func() error
	}{
		{"file tree", func() error { return c.tree(trees) }},
		{"names", c.names},
		{"network", waitForNetwork},
		{"cgroups", c.cgroups},
		{"kernel", c.kernel},
		{"configuration", c.configure},
		{"disks", c.attach},
	} {
		if err := step.do(); err != nil {
			return fmt.Errorf("%s: %w", step.name, err)
		}
	}
	_, _ = booted.Write([]byte{1}) // whether somebody still listens or not
	_ = booted.Close()
	return c.run(supervise.New())
}

func waitForNetwork() error {
	f := os.NewFile(Go, "go")
	defer func() { _ = f.Close() }()
	if _, err := io.ReadFull(f, make([]byte, 1)); err != nil {
		return errors.New("the lab that made this node is gone")
	}
	return nil
}

// cgroups makes the top of the node's own tree ready for the kubelet: on version 2 nothing
// may run there, and the children must get the controllers. It comes after the network,
// when the process that bore this one has left the cgroup.
func (c Config) cgroups() error {
	trees, err := cgroup.Own()
	if err != nil {
		return err
	}
	g := cgroup.Group{Unified: c.Unified}
	for _, t := range trees {
		g.Dirs = append(g.Dirs, t.Own)
	}
	return g.SplitSystem()
}

func (c Config) names() error {
	if err := unix.Sethostname([]byte(c.Name)); err != nil {
		return err
	}
	id, err := os.ReadFile("/var/lib/lab/machine-id")
	if errors.Is(err, os.ErrNotExist) {
		var random []byte
		if random, err = os.ReadFile("/proc/sys/kernel/random/uuid"); err != nil {
			return err
		}
		id = bytes.ReplaceAll(random, []byte("-"), nil)
		err = write("/var/lib/lab/machine-id", string(id))
	}
	if err != nil {
		return err
	}
	for path, content := range map[string]string{
		"/etc/machine-id": string(id),
		"/etc/hostname":   c.Name + "\n",
		"/etc/hosts":      "127.0.0.1 localhost\n" + c.Address + " " + c.Name + "\n",
		// There is no resolver on the LAN; the machine's own isn't reachable from here.
		"/etc/resolv.conf": "",
	} {
		if err := write(path, content); err != nil {
			return err
		}
	}
	return nil
}

// kernel sets what routers of pods need, in this node's network namespace only.
func (c Config) kernel() error {
	for path, value := range map[string]string{
		"net/ipv4/ip_forward":                "1",
		"net/bridge/bridge-nf-call-iptables": "1",
		"net/ipv4/conf/all/rp_filter":        "0",
		"net/ipv4/conf/default/rp_filter":    "0",
	} {
		if err := os.WriteFile("/proc/sys/"+path, []byte(value), 0); err != nil {
			return err
		}
	}
	return nil
}

func (c Config) configure() error {
	values := struct {
		Config
		DNS, AllPods, Plugins string
	}{c, network.DNS, network.Pods, "/usr/lib/cni"} // Debian's folder
	if _, err := os.Stat(values.Plugins); err != nil {
		values.Plugins = "/opt/cni/bin"
	}
	for name, path := range map[string]string{
		"cni.conflist":    "/etc/cni/net.d/10-lab.conflist",
		"containerd.toml": "/etc/containerd/config.toml",
		"kubelet.yaml":    "/etc/lab/kubelet.yaml",
		"proxy.yaml":      "/etc/lab/proxy.yaml",
		"masquerade.nft":  "/etc/lab/masquerade.nft",
	} {
		t, err := template.ParseFS(configs, "config/"+name)
		if err != nil {
			return err
		}
		var out strings.Builder
		if err := t.Execute(&out, values); err != nil {
			return err
		}
		if err := write(path, out.String()); err != nil {
			return err
		}
	}
	return nil
}

func (c Config) attach() error {
	for _, d := range c.Disks {
		if d.Detached {
			continue
		}
		// The killed predecessor's mounts may still be on their way out.
		if err := d.Attach(10 * time.Second); err != nil {
			return err
		}
	}
	return nil
}

// run starts everything, in an order where each waits only for what it needs.
func (c Config) run(s *supervise.Supervisor) error {
	programs := map[string]string{}
	for _, name := range []string{"nft", "ctr", "containerd"} {
		path, err := exec.LookPath(name)
		if err != nil {
			return err
		}
		programs[name] = path
	}
	if err := s.Command("", programs["nft"], "-f", "/etc/lab/masquerade.nft"); err != nil {
		return err
	}
	imported := make(chan struct{})
	go func() {
		waitForFile(Socket)
		if c.Fresh {
			c.forget(s)
		}
		for {
			err := s.Command("", programs["ctr"], "-n", "k8s.io", "images", "import", program+"/pause.tar")
			if err == nil {
				break
			}
			slog.Error("pause image", "error", err)
			time.Sleep(200 * time.Millisecond)
		}
		close(imported)
	}()
	kubernetes := program + "/kubernetes"
	service := func(name string, ready func(), argv ...string) supervise.Service {
		return supervise.Service{Name: name, Argv: argv, Log: "/var/log/" + name + ".log", Ready: ready}
	}
	registered := func() { waitForFile("/var/lib/kubelet/pods") }
	s.Run(
		service("containerd", nil, programs["containerd"]),
		service("kubelet", func() { <-imported }, kubernetes, "kubelet", "--config=/etc/lab/kubelet.yaml",
			"--kubeconfig=/etc/lab/kubelet.conf", "--hostname-override="+c.Name, "--node-ip="+c.Address),
		service("kube-proxy", nil, kubernetes, "proxy", "--config=/etc/lab/proxy.yaml"),
		service("netpol", registered, kubernetes, "netpol", "--kubeconfig=/etc/lab/netpol.conf",
			"--node="+c.Name, "--service-cluster-ip-range="+network.Services),
	)
	return nil
}

// forget removes the containers of an earlier cluster; their images stay. containerd starts
// once more, because its CRI service has read them already.
func (c Config) forget(s *supervise.Supervisor) {
	script := `ctr -n k8s.io containers ls -q | xargs -r ctr -n k8s.io containers rm`
	if err := s.Command("", "/bin/sh", "-c", script); err != nil {
		slog.Error("containers of an earlier cluster stay", "error", err)
	}
	if err := os.Remove(Socket); err != nil {
		slog.Error("containerd", "error", err)
	}
	s.Kill("containerd")
	waitForFile(Socket)
}

func waitForFile(path string) {
	for {
		if _, err := os.Stat(path); err == nil {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func write(path, content string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, []byte(content), 0o644)
}
