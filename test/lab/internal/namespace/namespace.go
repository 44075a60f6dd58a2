// Package namespace starts processes in namespaces of their own and enters those of others.
package namespace

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tmorin/homecloud/test/lab/internal/cgroup"
)

// A Process is known by its number and the time it started, because the kernel gives
// numbers again.
type Process struct {
	PID   int    `json:"pid"`
	Start uint64 `json:"start"`
}

// Find describes the process that has the number now.
func Find(pid int) (Process, error) {
	start, _, err := stat(pid)
	return Process{PID: pid, Start: start}, err
}

// Alive says whether it is still that process, and runs: a zombie doesn't.
func (p Process) Alive() bool {
	if p.PID == 0 {
		return false
	}
	start, state, err := stat(p.PID)
	return err == nil && start == p.Start && state != "Z" && state != "X"
}

func stat(pid int) (start uint64, state string, err error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, "", err
	}
	// The second field, the name in parentheses, may hold anything.
	fields := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
	if len(fields) < 20 {
		return 0, "", fmt.Errorf("/proc/%d/stat: too short", pid)
	}
	start, err = strconv.ParseUint(fields[19], 10, 64)
	return start, fields[0], err
}

// Kill ends the process, and with the first process of a PID namespace all in it; it
// returns when the kernel has taken them down.
func (p Process) Kill(patience time.Duration) error {
	if !p.Alive() {
		return nil
	}
	fd, err := unix.PidfdOpen(p.PID, 0)
	if err != nil {
		return fmt.Errorf("process %d: %w", p.PID, err)
	}
	defer func() { _ = unix.Close(fd) }()
	if !p.Alive() { // the number was given again in between
		return nil
	}
	if err := unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0); err != nil && err != unix.ESRCH {
		return fmt.Errorf("process %d: %w", p.PID, err)
	}
	for {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(patience.Milliseconds()))
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return err
		}
		if n == 0 {
			return fmt.Errorf("process %d doesn't end within %s", p.PID, patience)
		}
		return nil
	}
}

// Kinds of namespaces, as files of /proc/PID/ns.
const (
	Mount   = "mnt"
	Network = "net"
	PID     = "pid"
	UTS     = "uts"
	IPC     = "ipc"
	Cgroup  = "cgroup"
)

// Path is the file that stands for a namespace of the process.
func (p Process) Path(kind string) string { return fmt.Sprintf("/proc/%d/ns/%s", p.PID, kind) }

// Enter takes the calling goroutine's thread into namespaces, for good: the goroutine stays
// locked to it, and what it starts or becomes by exec lives there.
func Enter(paths ...string) error {
	runtime.LockOSThread()
	var fds []int
	defer func() {
		for _, fd := range fds {
			_ = unix.Close(fd)
		}
	}()
	for _, path := range paths {
		// All are opened before the first is entered: afterwards /proc is another one.
		fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		fds = append(fds, fd)
	}
	// A thread that shares its root and working directory can't change its mount namespace.
	if err := unix.Unshare(unix.CLONE_FS); err != nil {
		return fmt.Errorf("unshare: %w", err)
	}
	for i, fd := range fds {
		if err := unix.Setns(fd, 0); err != nil {
			return fmt.Errorf("%s: %w", paths[i], err)
		}
	}
	return nil
}

// A Birth describes the first process of new namespaces.
type Birth struct {
	Argv   []string     `json:"argv"`
	Groups cgroup.Group `json:"groups"`
	Log    string       `json:"log"`
}

const flags = unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWNET |
	unix.CLONE_NEWUTS | unix.CLONE_NEWIPC | unix.CLONE_NEWCGROUP

// Midwife is the hidden argument by which this program becomes the process between.
const Midwife = "init-midwife"

// Bear starts this program with b.Argv as the first process of new namespaces, and the
// files as its descriptors 3 and up. Until it is born the lock can't be had by others.
//
// A process between enters the cgroups first, because a new cgroup namespace has the
// cgroup of its maker as its root. It ends at once, so that the newborn has no parent
// here and outlives the command.
func Bear(b Birth, lock *os.File, files ...*os.File) (Process, error) {
	input, err := json.Marshal(b)
	if err != nil {
		return Process{}, err
	}
	// Pdeathsig fires when the starting thread ends, not the process.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd := exec.Command("/proc/self/exe", Midwife)
	cmd.Stdin = strings.NewReader(string(input))
	cmd.ExtraFiles = append([]*os.File{lock}, files...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return Process{}, fmt.Errorf("start %s: %w: %s", strings.Join(b.Argv, " "), err, strings.TrimSpace(stderr.String()))
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(out)))
	if err != nil {
		return Process{}, fmt.Errorf("start %s: %w", strings.Join(b.Argv, " "), err)
	}
	return Find(pid)
}

// Deliver is the process between.
func Deliver() error {
	var b Birth
	if err := json.NewDecoder(os.Stdin).Decode(&b); err != nil {
		return err
	}
	if err := b.Groups.Join(os.Getpid()); err != nil {
		return err
	}
	log, err := os.OpenFile(b.Log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	none, err := os.Open(os.DevNull)
	if err != nil {
		return err
	}
	files := []*os.File{none, log, log}
	const lock = 3 // stays here
	for fd := uintptr(lock + 1); inherited(fd); fd++ {
		files = append(files, os.NewFile(fd, "inherited"))
	}
	child, err := os.StartProcess("/proc/self/exe", append([]string{"lab"}, b.Argv...), &os.ProcAttr{
		Dir: "/", Files: files,
		Env: []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root"},
		Sys: &syscall.SysProcAttr{Cloneflags: flags, Setsid: true},
	})
	if err != nil {
		return err
	}
	fmt.Println(child.Pid)
	return nil
}

// inherited tells descriptors that were handed over from those of Go's runtime, which all
// close on exec; os/exec hands over without.
func inherited(fd uintptr) bool {
	flags, err := unix.FcntlInt(fd, unix.F_GETFD, 0)
	return err == nil && flags&unix.FD_CLOEXEC == 0
}

// ErrNotRoot is returned where only root gets anywhere.
var ErrNotRoot = errors.New("the lab makes namespaces, cgroups and mounts: run it as root")
