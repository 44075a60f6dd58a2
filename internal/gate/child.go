package gate

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// ended is the end of a process that this one had to reap.
type ended struct {
	pid    int
	status syscall.WaitStatus
}

// code is the exit code as a shell would tell it.
func (e ended) code() int {
	if e.status.Signaled() {
		return 128 + int(e.status.Signal())
	}
	return e.status.ExitStatus()
}

// reaper reaps every process whose parent is gone, and the daemon itself: the
// gate is the first process of its container.
type reaper struct {
	ended   chan ended
	signals chan os.Signal
	quit    chan struct{}
	done    chan struct{}
}

func newReaper() (*reaper, error) {
	// Also when it isn't the first process: what a daemon leaves behind comes here.
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return nil, fmt.Errorf("adopt the daemon's processes: %w", err)
	}
	r := &reaper{ended: make(chan ended, 64), signals: make(chan os.Signal, 1), quit: make(chan struct{}), done: make(chan struct{})}
	signal.Notify(r.signals, syscall.SIGCHLD)
	go func() {
		defer close(r.done)
		for {
			select {
			case <-r.signals:
				r.reap()
			case <-r.quit:
				return
			}
		}
	}()
	return r, nil
}

func (r *reaper) close() {
	signal.Stop(r.signals)
	close(r.quit)
	<-r.done
}

func (r *reaper) reap() {
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, syscall.WNOHANG, nil)
		switch {
		case errors.Is(err, syscall.EINTR):
			continue
		case err != nil || pid <= 0:
			return
		}
		select {
		case r.ended <- ended{pid, status}:
		case <-r.quit:
			return
		}
	}
}

// child is a running daemon, the leader of its own process group.
type child struct {
	pid  int
	kill *time.Timer
	log  *slog.Logger
}

func (r *reaper) start(command []string, log *slog.Logger) (*child, error) {
	program, err := exec.LookPath(command[0])
	if err != nil {
		return nil, fmt.Errorf("start the daemon: %w", err)
	}
	pid, err := syscall.ForkExec(program, command, &syscall.ProcAttr{
		Env:   os.Environ(),
		Files: []uintptr{0, 1, 2},
		Sys:   &syscall.SysProcAttr{Setpgid: true},
	})
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", program, err)
	}
	return &child{pid: pid, log: log}, nil
}

func (c *child) signal(s syscall.Signal) { _ = syscall.Kill(c.pid, s) }

func (c *child) signalGroup(s syscall.Signal) {
	if err := syscall.Kill(-c.pid, s); err != nil && !errors.Is(err, syscall.ESRCH) {
		c.log.Warn("the daemon can't be signalled", "pid", c.pid, "signal", s, "because", err)
	}
}

// end asks the daemon to end and makes it end after a grace. A process that
// hangs in the kernel on a dead disk ends when the kernel lets it go.
func (c *child) end(grace time.Duration) {
	c.signalGroup(syscall.SIGTERM)
	c.kill = time.AfterFunc(grace, func() { c.signalGroup(syscall.SIGKILL) })
}

// endRest kills what the ended daemon has left: its process group, and
// processes that had left the group. They would go on using a disk that is
// gone. It returns how many there were: each is reaped in its turn, and may
// leave others behind.
func (c *child) endRest() (left int) {
	if c.kill != nil {
		c.kill.Stop()
	}
	_ = syscall.Kill(-c.pid, syscall.SIGKILL)
	for _, pid := range children() {
		switch err := syscall.Kill(pid, syscall.SIGKILL); {
		case err == nil:
			left++
		case !errors.Is(err, syscall.ESRCH):
			c.log.Warn("a process that the daemon left can't be ended", "pid", pid, "because", err)
		}
	}
	return left
}

// children lists the processes whose parent is this one.
func children() []int {
	own := strconv.Itoa(os.Getpid())
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	var pids []int
	for _, stat := range stats {
		content, err := os.ReadFile(stat)
		if err != nil {
			continue
		}
		// The second field is a name in parentheses that may hold anything.
		_, rest, found := strings.Cut(string(content), ") ")
		for found && strings.Contains(rest, ") ") {
			_, rest, _ = strings.Cut(rest, ") ")
		}
		fields := strings.Fields(rest)
		if len(fields) > 1 && fields[1] == own {
			if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(stat))); err == nil {
				pids = append(pids, pid)
			}
		}
	}
	return pids
}
