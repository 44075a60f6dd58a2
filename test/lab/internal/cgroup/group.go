package cgroup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// A Group is one cgroup of a lab: a directory of the same name in every tree. It is
// recorded before it is made, because the teardown may run in another session, whose
// own cgroup is another one.
type Group struct {
	Dirs []string `json:"dirs"`
	// Unified is true when the one directory is version 2 and carries the controllers.
	Unified bool `json:"unified,omitempty"`
}

// Own reads the trees of this process.
func Own() ([]Hierarchy, error) {
	cgroups, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return nil, err
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	return Parse(string(cgroups), string(mounts))
}

// Plan names a new group without making it. On version 1 it lies below the caller's own
// cgroup, so that the caller's limits hold. On version 2 a cgroup with processes can't
// hand controllers to children, so it lies below the nearest ancestor that can.
func Plan(trees []Hierarchy, name string) (Group, error) {
	if OnlyUnified(trees) {
		parent, err := delegate(trees[0])
		if err != nil {
			return Group{}, err
		}
		return Group{Dirs: []string{filepath.Join(parent, name)}, Unified: true}, nil
	}
	var g Group
	for _, t := range trees {
		g.Dirs = append(g.Dirs, filepath.Join(t.Own, name))
	}
	return g, nil
}

// delegate finds the nearest cgroup that gives the wanted controllers to its children.
// Enabling them is the only change outside of the lab's own cgroups, and harmless to stay.
func delegate(tree Hierarchy) (string, error) {
	var refused []error
	for _, dir := range tree.Ancestors() {
		err := enable(dir)
		if err == nil {
			return dir, nil
		}
		refused = append(refused, fmt.Errorf("%s: %w", dir, err))
	}
	return "", fmt.Errorf("no cgroup gives %s to new cgroups (run the lab from a service with Delegate=yes, or on the machine itself): %w",
		strings.Join(Wanted, ", "), errors.Join(refused...))
}

// enable gives the wanted controllers of dir to its children.
func enable(dir string) error {
	control := filepath.Join(dir, "cgroup.subtree_control")
	have, err := os.ReadFile(control)
	if err != nil {
		return err
	}
	missing := missing(string(have))
	if missing == "" {
		return nil
	}
	return os.WriteFile(control, []byte(missing), 0)
}

// missing is what to write into cgroup.subtree_control, given what it has.
func missing(have string) string {
	var add []string
	for _, c := range Wanted {
		if !slices.Contains(strings.Fields(have), c) {
			add = append(add, "+"+c)
		}
	}
	return strings.Join(add, " ")
}

// Make creates the group; memory limits it in bytes, 0 doesn't.
func (g Group) Make(memory int64) error {
	for _, dir := range g.Dirs {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		// A new version 1 cpuset is empty, and nothing can run in it.
		for _, file := range []string{"cpuset.cpus", "cpuset.mems"} {
			if g.Unified {
				break
			}
			parent, err := os.ReadFile(filepath.Join(filepath.Dir(dir), file))
			if errors.Is(err, fs.ErrNotExist) {
				break
			}
			if err != nil {
				return err
			}
			if err := os.WriteFile(filepath.Join(dir, file), parent, 0); err != nil {
				return err
			}
			if err := os.WriteFile(filepath.Join(dir, "cgroup.clone_children"), []byte("1"), 0); err != nil {
				return err
			}
		}
		if memory > 0 {
			if err := limit(dir, memory); err != nil {
				return err
			}
		}
	}
	return nil
}

func limit(dir string, memory int64) error {
	for _, l := range []struct {
		file string
		size int64
	}{
		{"memory.limit_in_bytes", memory}, {"memory.memsw.limit_in_bytes", memory},
		{"memory.max", memory}, {"memory.swap.max", 0},
	} {
		err := os.WriteFile(filepath.Join(dir, l.file), []byte(strconv.FormatInt(l.size, 10)), 0)
		// O_TRUNC|O_CREAT on a file that the kernel doesn't offer is refused, not created.
		if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrPermission) {
			return err
		}
	}
	return nil
}

// Join moves a process into the group (0 is the caller itself).
func (g Group) Join(pid int) error {
	return g.join(pid, "")
}

// JoinSystem moves a process to where a node keeps its own daemons: version 2 forbids
// processes beside child cgroups, so that they have a cgroup beside that of the pods.
func (g Group) JoinSystem(pid int) error {
	return g.join(pid, System)
}

// System is the name of the cgroup of a node's own daemons inside the node's cgroup.
const System = "system"

func (g Group) join(pid int, sub string) error {
	for _, dir := range g.Dirs {
		if err := os.WriteFile(filepath.Join(dir, sub, "cgroup.procs"), []byte(strconv.Itoa(pid)), 0); err != nil {
			return err
		}
	}
	return nil
}

// Memory is what the group uses, in bytes.
func (g Group) Memory() (int64, error) {
	for _, dir := range g.Dirs {
		for _, file := range []string{"memory.usage_in_bytes", "memory.current"} {
			if b, err := os.ReadFile(filepath.Join(dir, file)); err == nil {
				return strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64)
			}
		}
	}
	return 0, fs.ErrNotExist
}

// Processes lists who is in the group or below it.
func (g Group) Processes() []int {
	var out []int
	for _, dir := range g.Dirs {
		_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.Name() != "cgroup.procs" {
				return nil //nolint:nilerr // a cgroup that vanishes while it is read has no processes
			}
			b, _ := os.ReadFile(path)
			for field := range strings.FieldsSeq(string(b)) {
				if pid, err := strconv.Atoi(field); err == nil && pid > 0 && !slices.Contains(out, pid) {
					out = append(out, pid)
				}
			}
			return nil
		})
	}
	return out
}

// Remove kills whoever is in the group and removes it. The kernel needs a moment to
// forget the dead, hence the patience.
func (g Group) Remove(patience time.Duration) error {
	deadline := time.Now().Add(patience)
	for {
		for _, pid := range g.Processes() {
			_ = unix.Kill(pid, unix.SIGKILL)
		}
		var last error
		for _, dir := range g.Dirs {
			if err := removeTree(dir); err != nil {
				last = err
			}
		}
		if last == nil {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("cgroup still in use by processes %v: %w", g.Processes(), last)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func removeTree(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.IsDir() {
			if err := removeTree(filepath.Join(dir, e.Name())); err != nil {
				return err
			}
		}
	}
	if err := unix.Rmdir(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return &fs.PathError{Op: "rmdir", Path: dir, Err: err}
	}
	return nil
}

// SplitSystem moves the calling process, the first of a node, into the cgroup of the node's
// daemons, and lets the pods' cgroups beside it have the controllers.
func (g Group) SplitSystem() error {
	system := Group{Unified: g.Unified}
	for _, dir := range g.Dirs {
		system.Dirs = append(system.Dirs, filepath.Join(dir, System))
	}
	if err := system.Make(0); err != nil {
		return err
	}
	if err := system.Join(os.Getpid()); err != nil {
		return err
	}
	if !g.Unified {
		return nil
	}
	return enable(g.Dirs[0])
}
