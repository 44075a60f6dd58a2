package cluster

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/tmorin/homecloud/test/lab/internal/control"
	"github.com/tmorin/homecloud/test/lab/internal/disk"
	"github.com/tmorin/homecloud/test/lab/internal/namespace"
	"github.com/tmorin/homecloud/test/lab/internal/network"
	inside "github.com/tmorin/homecloud/test/lab/internal/node"
)

// Kill cuts nodes from power: no process of theirs gets to do anything any more.
func (l *Lab) Kill(names ...string) error {
	nodes, err := l.nodes(names)
	if err != nil {
		return err
	}
	done := l.step("power of %s cut", strings.Join(names, ", "))
	if err := l.killNodes(nodes); err != nil {
		return err
	}
	done()
	return l.save()
}

// Start gives power to nodes again; they find their disks and state as they were.
func (l *Lab) Start(ctx context.Context, names ...string) error {
	nodes, err := l.nodes(names)
	if err != nil {
		return err
	}
	if !l.state.LAN.Alive() {
		return ErrNotUp
	}
	var dead []*node
	for _, n := range nodes {
		if !n.Init.Alive() {
			dead = append(dead, n)
		}
	}
	if dead == nil {
		return nil
	}
	done := l.step("power of %s back", strings.Join(names, ", "))
	if err := l.startThese(dead); err != nil {
		return err
	}
	done()
	return nil
}

// Cut pulls the network cables of nodes, Heal puts them back.
func (l *Lab) Cut(cut bool, names ...string) error {
	nodes, err := l.nodes(names)
	if err != nil {
		return err
	}
	if !l.state.LAN.Alive() {
		return ErrNotUp
	}
	for _, n := range nodes {
		n.Cut = cut
		if n.Init.Alive() {
			if err := network.Cut(l.state.LAN.Path(namespace.Network), n.Name, cut); err != nil {
				return err
			}
		}
	}
	return l.save()
}

func (l *Lab) nodes(names []string) ([]*node, error) {
	var out []*node
	for _, name := range names {
		n, err := l.node(name)
		if err != nil {
			return nil, err
		}
		out = append(out, n)
	}
	return out, nil
}

// API starts or stops the API server. Stopping is a crash.
func (l *Lab) API(ctx context.Context, run bool) error {
	api, err := l.api()
	if err != nil {
		return err
	}
	if run {
		err = os.Remove(l.stopped())
		if errors.Is(err, os.ErrNotExist) {
			err = nil
		}
	} else {
		err = os.WriteFile(l.stopped(), nil, 0o644)
	}
	if err != nil {
		return err
	}
	if err := syscall.Kill(l.state.LAN.PID, syscall.SIGHUP); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if run {
		done := l.step("API at %s", l.server())
		if err := l.until(ctx, "the API", func() error { return api.Ready(ctx) }); err != nil {
			return err
		}
		done()
		return nil
	}
	return l.until(ctx, "the API", func() error {
		if api.Ready(ctx) == nil {
			return errors.New("still answers")
		}
		return nil
	})
}

// Disk attaches a disk of a node or pulls it.
func (l *Lab) Disk(name, diskName string, attach bool) error {
	n, err := l.node(name)
	if err != nil {
		return err
	}
	for i := range n.Disks {
		d := &n.Disks[i]
		if d.Name != diskName {
			continue
		}
		verb := "detach"
		if attach {
			verb = "attach"
		}
		if n.Init.Alive() {
			argv := []string{"/proc/self/exe", "init-disk", verb, d.Label, d.Name, d.Filesystem}
			if err := l.inside(n, argv...); err != nil {
				return err
			}
		}
		d.Detached = !attach
		return l.save()
	}
	return fmt.Errorf("%s has no disk %q: there is %s", name, diskName, n.Disks[0].Name)
}

// attachPatience is how long a disk that comes back waits for daemons to let go of it.
const attachPatience = 10 * time.Second

// InsideDisk is Disk, inside the node.
func InsideDisk(verb, label, name, filesystem string) error {
	d := disk.Disk{Label: label, Name: name, Filesystem: filesystem}
	if verb == "attach" {
		return d.Attach(attachPatience)
	}
	return d.Detach()
}

// Exec runs a command inside a node, with its memory counted there, and returns its exit
// code as a namespace.ExitError.
func (l *Lab) Exec(name string, argv ...string) error {
	n, err := l.running(name)
	if err != nil {
		return err
	}
	return l.inside(n, argv...)
}

func (l *Lab) inside(n *node, argv ...string) error {
	if err := l.state.Groups[n.Name].JoinSystem(os.Getpid()); err != nil {
		return err
	}
	env := []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "TERM=" + os.Getenv("TERM")}
	return n.Init.Inside(env, argv...)
}

// Client becomes a command on the LAN, as a device that is no part of the cluster.
func (l *Lab) Client(argv ...string) error {
	if !l.state.LAN.Alive() {
		return ErrNotUp
	}
	// In the lab's cgroup, so that what it leaves behind ends with the lab.
	if err := l.state.Groups["lan"].Join(os.Getpid()); err != nil {
		return err
	}
	return namespace.Become(fmt.Sprintf("/proc/%d/fd/%d", l.state.LAN.PID, control.Client), argv)
}

// Load imports image archives into all nodes, each once per content.
func (l *Lab) Load(ctx context.Context, archives ...string) error {
	type archive struct{ path, digest string }
	var all []archive
	for _, path := range archives {
		digest, err := digest(path)
		if err != nil {
			return err
		}
		all = append(all, archive{path, digest})
	}
	if len(l.state.Nodes) == 0 {
		return ErrNotUp
	}
	group, ctx := errgroup.WithContext(ctx)
	for _, n := range l.state.Nodes {
		if !n.Init.Alive() {
			l.say("%s has no power: load once more when it is back", n.Name)
			continue
		}
		group.Go(func() error {
			for _, a := range all {
				mark := l.path("stores", n.Name, "lab-image-"+a.digest)
				if fileExists(mark) {
					continue
				}
				done := l.step("%s loaded into %s", filepath.Base(a.path), n.Name)
				if err := l.load(ctx, n, a.path); err != nil {
					return fmt.Errorf("%s: %s: %w", n.Name, a.path, err)
				}
				if err := os.WriteFile(mark, nil, 0o644); err != nil {
					return err
				}
				done()
			}
			return nil
		})
	}
	return group.Wait()
}

// load imports from outside of the node: the archive needn't be visible there.
func (l *Lab) load(ctx context.Context, n *node, path string) error {
	socket := fmt.Sprintf("/proc/%d/root%s", n.Init.PID, inside.Socket)
	out, err := exec.CommandContext(ctx, "ctr", "--address", socket, "--namespace", "k8s.io", "images", "import", path).CombinedOutput()
	if err != nil {
		return fmt.Errorf("ctr images import: %w: %s", err, strings.TrimSpace(string(out)))
	}
	return nil
}

func digest(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }()
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		return "", fmt.Errorf("%s: %w", path, err)
	}
	return hex.EncodeToString(sum.Sum(nil))[:32], nil
}

// Status is what a lab says about itself.
type Status struct {
	Name    string       `json:"name"`
	Dir     string       `json:"dir"`
	Up      bool         `json:"up"`
	API     string       `json:"api"` // answers, stopped or silent
	Server  string       `json:"server,omitempty"`
	LANPID  int          `json:"lanPID,omitempty"`
	Gateway string       `json:"gateway"`
	Client  string       `json:"client"`
	Nodes   []NodeStatus `json:"nodes"`
}

// NodeStatus is what a lab says about a node.
type NodeStatus struct {
	Name    string `json:"name"`
	Address string `json:"address"`
	// State is Ready, NotReady, or off; the API's word for it when it answers.
	State   string            `json:"state"`
	Network string            `json:"network"` // plugged or cut
	PID     int               `json:"pid,omitempty"`
	Root    string            `json:"root"`
	Disks   map[string]string `json:"disks"` // attached or detached
	Memory  int64             `json:"memory"`
	Limit   int64             `json:"limit"`
}

// Status looks, and changes nothing.
func (l *Lab) Status(ctx context.Context) Status {
	s := Status{Name: l.Name, Dir: l.Dir, Up: l.state.LAN.Alive(), API: "silent", Gateway: network.Gateway, Client: network.Client, Nodes: []NodeStatus{}}
	api, err := l.api()
	if err == nil {
		s.Server, s.LANPID = l.server(), l.state.LAN.PID
		if api.Ready(ctx) == nil {
			s.API = "answers"
		} else if fileExists(l.stopped()) {
			s.API = "stopped"
		}
	}
	for _, n := range l.state.Nodes {
		ns := NodeStatus{
			Name: n.Name, Address: n.Address, State: "off", Network: "plugged", Root: l.root(n),
			Disks: map[string]string{}, Limit: l.state.Spec.Memory,
		}
		if n.Init.Alive() {
			ns.State, ns.PID = "NotReady", n.Init.PID
			if s.API == "answers" && api.NodeReady(ctx, n.Name, n.Started) {
				ns.State = "Ready"
			}
			ns.Memory, _ = l.memory(n)
		}
		if n.Cut {
			ns.Network = "cut"
		}
		for _, d := range n.Disks {
			ns.Disks[d.Name] = "attached"
			if d.Detached {
				ns.Disks[d.Name] = "detached"
			}
		}
		s.Nodes = append(s.Nodes, ns)
	}
	return s
}

func (l *Lab) memory(n *node) (int64, error) {
	g, known := l.state.Groups[n.Name]
	if !known {
		return 0, os.ErrNotExist
	}
	return g.Memory()
}
