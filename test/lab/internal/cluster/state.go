// Package cluster is a lab: its state folder, its verbs, and their order. Each thing a verb
// makes is recorded before it is made, so that the teardown finds it whatever was killed.
package cluster

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tmorin/homecloud/test/lab/internal/cgroup"
	"github.com/tmorin/homecloud/test/lab/internal/disk"
	"github.com/tmorin/homecloud/test/lab/internal/kube"
	"github.com/tmorin/homecloud/test/lab/internal/namespace"
	"github.com/tmorin/homecloud/test/lab/internal/network"
	"github.com/tmorin/homecloud/test/lab/internal/pki"
)

// A Lab is one cluster on this machine.
type Lab struct {
	Name string
	Dir  string
	// Progress gets a line per step.
	Progress io.Writer

	state state
	// lock is held while a command changes the lab. Programs that it starts inherit it, so
	// that a teardown after a crash waits for them and not only for their parent.
	lock *os.File
	// made says that this command made the lock's file.
	made bool
}

// Spec is what can be chosen at the first start.
type Spec struct {
	Nodes      int    `json:"nodes"`
	Memory     int64  `json:"memory"`
	Filesystem string `json:"filesystem"`
}

// state is lab.json.
type state struct {
	Name string `json:"name"`
	// Boot is the machine's boot: processes and cgroups of another one are gone.
	Boot string `json:"boot"`
	Spec Spec   `json:"spec"`
	// Port is where this machine reaches the API, the same over restarts.
	Port  int               `json:"port"`
	LAN   namespace.Process `json:"lan"`
	Nodes []*node           `json:"nodes"`
	// Groups are all cgroups ever made, by the name of what lives in them.
	Groups map[string]cgroup.Group `json:"groups"`
}

type node struct {
	network.Node
	Init namespace.Process `json:"init"`
	// Started is when it last got power.
	Started time.Time   `json:"started"`
	Disks   []disk.Disk `json:"disks"`
	Cut     bool        `json:"cut,omitempty"`
	// Fresh nodes haven't run in this cluster.
	Fresh bool `json:"fresh,omitempty"`
}

// DefaultDir is where a lab lives unless told otherwise.
func DefaultDir(name string) string { return filepath.Join("/var/lib/homecloud-lab", name) }

// ErrNotUp is returned where a running lab is needed.
var ErrNotUp = errors.New("the lab isn't up: start it with `lab up`")

// Open reads the state and locks the folder against other commands that change it; close
// the lab to let them on. What doesn't change anything needn't lock.
func Open(name, dir string, progress io.Writer, change bool) (*Lab, func(), error) {
	if os.Geteuid() != 0 {
		return nil, nil, namespace.ErrNotRoot
	}
	if dir == "" {
		dir = DefaultDir(name)
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, nil, err
	}
	l := &Lab{Name: name, Dir: dir, Progress: progress}
	done := func() {}
	if change {
		if l.lock, l.made, err = lock(l.path("lock")); err != nil {
			return nil, nil, err
		}
		done = l.unlock
	}
	if err := l.read(); err != nil {
		done()
		return nil, nil, err
	}
	return l, done, nil
}

// unlock lets other commands on. The lock of a lab that there isn't goes with it.
func (l *Lab) unlock() {
	entries, _ := os.ReadDir(l.Dir)
	alone := len(entries) == 1 && entries[0].Name() == "lock" // what killed commands leave
	if alone || l.made && !fileExists(l.path("lab.json")) && !fileExists(l.path("stores")) {
		_ = os.Remove(l.path("lock"))
		for _, dir := range []string{l.Dir, filepath.Dir(DefaultDir(l.Name))} {
			_ = os.Remove(dir) // unless there is something in it
		}
	}
	_ = l.lock.Close()
}

// lock waits until no other command holds the file, and for one that removed it meanwhile.
func lock(path string) (f *os.File, made bool, err error) {
	for {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return nil, false, err
		}
		f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o644)
		made := err == nil
		if errors.Is(err, os.ErrExist) {
			f, err = os.OpenFile(path, os.O_RDWR, 0)
		}
		if errors.Is(err, os.ErrNotExist) {
			continue // another command has just removed it, or its folder
		}
		if err != nil {
			return nil, false, err
		}
		if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
			return nil, false, errors.Join(err, f.Close())
		}
		held, err := f.Stat()
		if err != nil {
			return nil, false, errors.Join(err, f.Close())
		}
		if there, err := os.Stat(path); err == nil && os.SameFile(held, there) {
			return f, made, nil
		}
		if err := f.Close(); err != nil {
			return nil, false, err
		}
	}
}

// tool runs a program that may outlive this one for a moment.
func (l *Lab) tool(argv ...string) error {
	c := exec.Command(argv[0], argv[1:]...)
	c.ExtraFiles = []*os.File{l.lock}
	out, err := c.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w: %s", strings.Join(argv, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}

func (l *Lab) path(elements ...string) string {
	return filepath.Join(append([]string{l.Dir}, elements...)...)
}

func (l *Lab) read() error {
	b, err := os.ReadFile(l.path("lab.json"))
	if errors.Is(err, os.ErrNotExist) {
		l.state = state{Name: l.Name, Groups: map[string]cgroup.Group{}}
		return nil
	}
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, &l.state); err != nil {
		return fmt.Errorf("%s: %w", l.path("lab.json"), err)
	}
	if l.state.Name != l.Name {
		return fmt.Errorf("%s holds the lab %q, not %q: use --name or another --dir", l.Dir, l.state.Name, l.Name)
	}
	if l.state.Groups == nil {
		l.state.Groups = map[string]cgroup.Group{}
	}
	boot, err := bootID()
	if err != nil {
		return err
	}
	if l.state.Boot != boot { // numbers of processes and cgroups mean nothing any more
		l.state.LAN, l.state.Groups, l.state.Boot = namespace.Process{}, map[string]cgroup.Group{}, boot
		for _, n := range l.state.Nodes {
			n.Init = namespace.Process{}
		}
	}
	return nil
}

// save replaces the state file at once.
func (l *Lab) save() error {
	boot, err := bootID()
	if err != nil {
		return err
	}
	l.state.Boot = boot
	b, err := json.MarshalIndent(l.state, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(l.path("lab.json.new"), b, 0o600); err != nil {
		return err
	}
	return os.Rename(l.path("lab.json.new"), l.path("lab.json"))
}

func bootID() (string, error) {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(b)), err
}

// group makes and records a cgroup. The short hash of names keeps labs apart that have the
// same name in other folders.
func (l *Lab) group(name string, memory int64) (cgroup.Group, error) {
	g, known := l.state.Groups[name]
	if !known {
		trees, err := cgroup.Own()
		if err != nil {
			return g, err
		}
		if g, err = cgroup.Plan(trees, fmt.Sprintf("lab-%s-%s-%s", l.Name, short(l.Dir), name)); err != nil {
			return g, err
		}
		l.state.Groups[name] = g
		if err := l.save(); err != nil {
			return g, err
		}
	}
	return g, g.Make(memory)
}

func (l *Lab) node(name string) (*node, error) {
	var names []string
	for _, n := range l.state.Nodes {
		if n.Name == name {
			return n, nil
		}
		names = append(names, n.Name)
	}
	if names == nil {
		return nil, ErrNotUp
	}
	return nil, fmt.Errorf("no node %q: there are %s", name, strings.Join(names, ", "))
}

// running is node, and an error when it has no power.
func (l *Lab) running(name string) (*node, error) {
	n, err := l.node(name)
	if err != nil {
		return nil, err
	}
	if !n.Init.Alive() {
		return nil, fmt.Errorf("%s has no power: start it with `lab node start %s`", name, name)
	}
	return n, nil
}

// root is the node's root folder on this machine.
func (l *Lab) root(n *node) string { return l.path("nodes", n.Name, "root") }

func (l *Lab) keys() (*pki.Dir, error) { return pki.Open(l.path("pki")) }

// server is the address of the API on this machine.
func (l *Lab) server() string { return fmt.Sprintf("https://127.0.0.1:%d", l.state.Port) }

func (l *Lab) api() (*kube.Client, error) {
	if !l.state.LAN.Alive() {
		return nil, ErrNotUp
	}
	keys, err := l.keys()
	if err != nil {
		return nil, err
	}
	return kube.NewClient(l.server(), keys, "admin")
}

// Kubeconfig is that of the administrator, for this machine.
func (l *Lab) Kubeconfig() ([]byte, error) {
	if !l.state.LAN.Alive() {
		return nil, ErrNotUp
	}
	keys, err := l.keys()
	if err != nil {
		return nil, err
	}
	return keys.Kubeconfig("admin", l.Name, l.server())
}
