// Package cgroup makes, fills and removes the cgroups of a lab, on version 1 (one tree
// per controller), version 2 (one tree) and the mixture of both that systemd calls
// hybrid. It knows directories, not nodes. Its tests read files of such machines;
// cgroup2.sh runs a lab on version 2 where the machine has version 1.
package cgroup

import (
	"fmt"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// A Hierarchy is one cgroup tree, as this process sees it.
type Hierarchy struct {
	// Name is what a version 1 mount is called: its controllers ("cpu,cpuacct") or
	// "name=systemd"; empty for version 2.
	Name string
	// Mount is where the tree's visible top is mounted.
	Mount string
	// Own is the directory of the process's own cgroup.
	Own string
}

// Unified says whether the tree is version 2.
func (h Hierarchy) Unified() bool { return h.Name == "" }

// Parse joins /proc/self/cgroup with /proc/self/mountinfo. Trees that aren't mounted are
// left out: nobody could use them.
func Parse(cgroups, mountinfo string) ([]Hierarchy, error) {
	type mount struct{ root, point string }
	mounts := map[string]mount{}
	for line := range strings.Lines(mountinfo) {
		before, after, found := strings.Cut(line, " - ")
		left, right := strings.Fields(before), strings.Fields(after)
		if !found || len(left) < 5 || len(right) < 3 {
			continue
		}
		var name string
		switch right[0] {
		case "cgroup2":
		case "cgroup":
			name = versionOneName(right[2])
		default:
			continue
		}
		if _, seen := mounts[name]; !seen {
			mounts[name] = mount{root: left[3], point: left[4]}
		}
	}

	var out []Hierarchy
	for line := range strings.Lines(cgroups) {
		fields := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(fields) != 3 {
			return nil, fmt.Errorf("/proc/self/cgroup: unexpected line %q", line)
		}
		m, mounted := mounts[sortedNames(fields[1])]
		if !mounted {
			continue
		}
		out = append(out, Hierarchy{Name: fields[1], Mount: m.point, Own: below(m.point, m.root, fields[2])})
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("no cgroup file system is mounted: mount one at /sys/fs/cgroup")
	}
	return out, nil
}

// versionOneName finds the controllers among the super options of a mount, for example
// "rw,cpu,cpuacct" or "rw,xattr,name=systemd".
func versionOneName(options string) string {
	var names []string
	for o := range strings.SplitSeq(options, ",") {
		switch {
		case o == "rw", o == "ro", o == "xattr", o == "clone_children", o == "noprefix",
			o == "cpuset_v2_mode", o == "favordynmods", strings.HasPrefix(o, "release_agent="):
		default:
			names = append(names, o)
		}
	}
	slices.Sort(names)
	return strings.Join(names, ",")
}

func sortedNames(controllers string) string {
	if controllers == "" {
		return ""
	}
	names := strings.Split(controllers, ",")
	slices.Sort(names)
	return strings.Join(names, ",")
}

// below is the directory of cgroup own in a tree whose cgroup root is mounted at point.
// A process outside of what is mounted (a container that sees the machine's names)
// can only use the top.
func below(point, root, own string) string {
	rel, err := filepath.Rel(root, path.Clean(own))
	if err != nil || rel == ".." || strings.HasPrefix(rel, "../") {
		return point
	}
	return filepath.Join(point, rel)
}

// Wanted are the controllers a node must be able to use on version 2: the kubelet refuses
// to start without them.
var Wanted = []string{"cpu", "cpuset", "memory", "pids"}

// OnlyUnified says whether the controllers live in the version 2 tree. Beside version 1
// trees the version 2 tree carries no controller of use.
func OnlyUnified(trees []Hierarchy) bool {
	return len(trees) == 1 && trees[0].Unified()
}

// Ancestors lists the directories from the process's own cgroup up to the visible top:
// the candidates for the parent of new cgroups, nearest first.
func (h Hierarchy) Ancestors() []string {
	var out []string
	for dir := h.Own; ; dir = filepath.Dir(dir) {
		out = append(out, dir)
		if dir == h.Mount || len(dir) <= len(h.Mount) {
			return out
		}
	}
}
