package node

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/tmorin/homecloud/test/lab/internal/cgroup"
	"github.com/tmorin/homecloud/test/lab/internal/disk"
)

// tree builds the node's root and moves into it: its own /etc, /var, /srv and the like, the
// machine's /usr to read, and fresh kernel file systems that show only this node.
func (c Config) tree(trees []cgroup.Hierarchy) error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	m := &mounter{root: c.Root}
	m.bind(c.Root, "/", false)
	m.bind("/usr", "/usr", true)
	for _, name := range []string{"bin", "sbin", "lib", "lib32", "lib64", "libx32"} {
		m.likeHost(name)
	}
	m.bind(c.Program, program, true)
	m.bind(c.Keys, "/etc/lab", false)
	m.bind(c.Store, "/var/lib/containerd", false)
	m.mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "")
	m.mount("sysfs", "/sys", "sysfs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "")
	m.cgroups(trees)
	m.bind("/dev", "/dev", false)
	m.mount("devpts", "/dev/pts", "devpts", unix.MS_NOSUID|unix.MS_NOEXEC, "newinstance,ptmxmode=0666,mode=620,gid=5")
	m.mount("shm", "/dev/shm", "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "")
	m.mount("run", "/run", "tmpfs", unix.MS_NOSUID, "mode=755")
	m.mount("tmp", "/tmp", "tmpfs", unix.MS_NOSUID, "mode=1777")
	m.bind(c.Images, disk.Images, false)
	m.shield(c.Memory)
	if m.err != nil {
		return m.err
	}
	if err := os.MkdirAll(filepath.Join(c.Root, ".old"), 0o700); err != nil {
		return err
	}
	if err := unix.Chdir(c.Root); err != nil {
		return err
	}
	if err := unix.PivotRoot(".", ".old"); err != nil {
		return fmt.Errorf("pivot_root: %w", err)
	}
	if err := unix.Chdir("/"); err != nil {
		return err
	}
	if err := unix.Unmount("/.old", unix.MNT_DETACH); err != nil {
		return err
	}
	if err := os.Remove("/.old"); err != nil {
		return err
	}
	// Shared, so that pods see disks come and go (HostToContainer) and may mount for the
	// node themselves (Bidirectional).
	return unix.Mount("", "/", "", unix.MS_REC|unix.MS_SHARED, "")
}

// mounter mounts below a root and stops at the first error.
type mounter struct {
	root string
	err  error
}

func (m *mounter) do(what string, f func() error) {
	if m.err == nil {
		if err := f(); err != nil {
			m.err = fmt.Errorf("%s: %w", what, err)
		}
	}
}

func (m *mounter) mount(source, target, kind string, flags uintptr, options string) {
	m.do("mount "+target, func() error {
		path := filepath.Join(m.root, target)
		if err := os.MkdirAll(path, 0o755); err != nil {
			return err
		}
		return unix.Mount(source, path, kind, flags, options)
	})
}

func (m *mounter) bind(source, target string, readOnly bool) {
	m.mount(source, target, "", unix.MS_BIND, "")
	if readOnly {
		m.mount("", target, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, "")
	}
}

// likeHost repeats a top folder of the machine: a link into /usr on most, a real folder on
// a few.
func (m *mounter) likeHost(name string) {
	link, err := os.Readlink("/" + name)
	switch {
	case err == nil:
		m.do("/"+name, func() error {
			path := filepath.Join(m.root, name)
			if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
				return err
			}
			return os.Symlink(link, path)
		})
	case os.IsNotExist(err):
	default:
		m.bind("/"+name, "/"+name, true)
	}
}

func (m *mounter) cgroups(trees []cgroup.Hierarchy) {
	const top = "/sys/fs/cgroup"
	if cgroup.OnlyUnified(trees) {
		m.mount("cgroup2", top, "cgroup2", 0, "")
		return
	}
	m.mount("cgroup", top, "tmpfs", 0, "mode=755")
	for _, t := range trees {
		switch {
		case t.Unified():
			m.mount("cgroup2", top+"/unified", "cgroup2", 0, "")
		case strings.HasPrefix(t.Name, "name="):
			m.mount("cgroup", top+"/"+strings.TrimPrefix(t.Name, "name="), "cgroup", 0, "none,"+t.Name)
		default:
			m.mount("cgroup", top+"/"+t.Name, "cgroup", 0, t.Name)
			// Where controllers share a tree, programs look for each by its own name.
			for _, one := range strings.Split(t.Name, ",") {
				if one != t.Name {
					m.do("cgroup "+one, func() error { return os.Symlink(t.Name, filepath.Join(m.root, top, one)) })
				}
			}
		}
	}
}

// shielded are the settings of the whole machine that a kubelet changes when it finds them
// otherwise. It finds what it wants: files laid over the node's /proc, so that the machine
// keeps its own and there is nothing to restore.
var shielded = map[string]string{
	"vm/overcommit_memory":      "1",
	"vm/panic_on_oom":           "0",
	"kernel/panic":              "10",
	"kernel/panic_on_oops":      "1",
	"kernel/keys/root_maxkeys":  "1000000",
	"kernel/keys/root_maxbytes": "25000000",
}

func (m *mounter) shield(memory int64) {
	for name, value := range shielded {
		m.overlay("sysctl/"+name, "/proc/sys/"+name, value+"\n")
	}
	m.do("meminfo", func() error {
		real, err := os.ReadFile("/proc/meminfo")
		if err != nil {
			return err
		}
		m.overlay("meminfo", "/proc/meminfo", meminfo(string(real), memory))
		return m.err
	})
}

// overlay lays a file over one of /proc; a kernel without it needs none.
func (m *mounter) overlay(name, target, content string) {
	if _, err := os.Stat(target); err != nil {
		return
	}
	m.do(target, func() error {
		path := filepath.Join(m.root, "/run/lab", name)
		if err := write(path, content); err != nil {
			return err
		}
		return unix.Mount(path, filepath.Join(m.root, target), "", unix.MS_BIND, "")
	})
}

var (
	sizes = regexp.MustCompile(`(?m)^(MemTotal|MemFree|MemAvailable):.*$`)
	swap  = regexp.MustCompile(`(?m)^(Swap\w+):.*$`)
)

// meminfo is the machine's, with the node's memory: the kubelet takes its capacity from
// there, and evicts when the node's cgroup comes near it, as on a board of that size.
func meminfo(real string, memory int64) string {
	out := sizes.ReplaceAllString(real, fmt.Sprintf("${1}: %d kB", memory/1024))
	return swap.ReplaceAllString(out, "${1}: 0 kB")
}
