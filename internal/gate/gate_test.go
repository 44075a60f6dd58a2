package gate_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/tmorin/homecloud/internal/config"
	"github.com/tmorin/homecloud/internal/disk"
	"github.com/tmorin/homecloud/internal/disk/disktest"
	"github.com/tmorin/homecloud/internal/gate"
)

// asGate makes the test binary run a gate: it takes over its process.
const asGate = "HOMECLOUD_TEST_GATE"

func TestMain(m *testing.M) {
	if os.Getenv(asGate) != "" {
		os.Exit(runGate(os.Args[1], os.Args[2], os.Args[3:]))
	}
	os.Exit(disktest.Main(m))
}

// runGate is a gate that is in a hurry.
func runGate(root, status string, command []string) int {
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	watch := disk.NewWatch(disk.Expectation{Root: root, Disk: "data", Cluster: "home"}, log)
	watch.Interval, watch.WriteInterval = 100*time.Millisecond, 300*time.Millisecond
	watch.ReadLimit, watch.WriteLimit = 3*time.Second, 3*time.Second
	g := &gate.Gate{Watch: watch, Command: command, Status: status, Log: log}
	if path := os.Getenv(follows); path != "" {
		g.Follow = []string{path, filepath.Join(root, "data", config.SharesDirectory)}
		g.Reload = strings.Fields(os.Getenv(reloads))
	}
	if journal := os.Getenv("LOG"); os.Getenv(withBegin) != "" {
		g.Begin = func(found disk.Found) ([]string, func(bool) error, error) { return begin(journal, found) }
	}
	code, err := g.Run(context.Background())
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	return code
}

// follows names what the gate follows beside the shares, reloads how it tells.
const (
	follows = "HOMECLOUD_TEST_GATE_FOLLOW"
	reloads = "HOMECLOUD_TEST_GATE_RELOAD"
)

// withBegin gives the gate a Begin.
const withBegin = "HOMECLOUD_TEST_GATE_BEGIN"

// begin writes down what it is asked. A file beside the daemon's log makes it
// refuse, another makes the end hang.
func begin(journal string, found disk.Found) (arguments []string, end func(bool) error, err error) {
	note := func(text string) {
		file, err := os.OpenFile(journal, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
		if err == nil {
			fmt.Fprintln(file, text)
			file.Close()
		}
	}
	if _, err := os.Stat(journal + ".refuse"); err == nil {
		return nil, nil, errors.New("refused by the test")
	}
	note("begin " + found.FileSystem)
	return []string{"--from-begin"}, func(orderly bool) error {
		for _, err := os.Stat(journal + ".hang"); err == nil && orderly; _, err = os.Stat(journal + ".hang") {
			time.Sleep(10 * time.Millisecond)
		}
		note(fmt.Sprintf("end %t", orderly))
		return nil
	}, nil
}

// gated is a running gate with a daemon that writes down what happens to it.
type gated struct {
	t      *testing.T
	cmd    *exec.Cmd
	status string
	log    string // of the daemon
	output *bytes.Buffer
	ended  chan error
}

// daemon writes its start and its TERM down and lives until then.
const daemon = `echo "start $$" >> "$LOG"; trap 'echo term >> "$LOG"; exit 3' TERM; while :; do sleep 0.05; done`

func start(t *testing.T, root, script string) *gated {
	t.Helper()
	return startWith(t, root, script)
}

func startWith(t *testing.T, root, script string, environment ...string) *gated {
	t.Helper()
	if testing.Short() {
		t.Skip("runs real daemons behind real gates: make test-daemons runs it")
	}
	folder := t.TempDir()
	g := &gated{t: t, status: filepath.Join(folder, "status"), log: filepath.Join(folder, "log"), output: &bytes.Buffer{}, ended: make(chan error, 1)}
	g.cmd = exec.Command("/proc/self/exe", root, g.status, "/bin/sh", "-c", script)
	g.cmd.Env = append(append(os.Environ(), asGate+"=1", "LOG="+g.log), environment...)
	g.cmd.Stdout, g.cmd.Stderr = g.output, g.output
	require.NoError(t, g.cmd.Start())
	go func() { g.ended <- g.cmd.Wait() }()
	t.Cleanup(func() {
		_ = g.cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-g.ended:
		case <-time.After(10 * time.Second):
			_ = g.cmd.Process.Kill()
			t.Error("the gate doesn't end")
		}
		if t.Failed() {
			t.Logf("the gate said:\n%s", g.output)
		}
	})
	return g
}

func (g *gated) events() []string {
	content, err := os.ReadFile(g.log)
	if os.IsNotExist(err) {
		return nil
	}
	require.NoError(g.t, err)
	return strings.Split(strings.TrimSpace(string(content)), "\n")
}

func (g *gated) starts() (pids []int) {
	for _, event := range g.events() {
		if rest, found := strings.CutPrefix(event, "start "); found {
			pid, err := strconv.Atoi(rest)
			require.NoError(g.t, err)
			pids = append(pids, pid)
		}
	}
	return pids
}

func (g *gated) eventually(what string, condition func() bool) {
	g.t.Helper()
	require.Eventually(g.t, condition, time.Minute, 10*time.Millisecond, what)
}

// waitOpen waits until the daemon was started n times and the gate is open.
func (g *gated) waitOpen(n int) {
	g.t.Helper()
	g.eventually(fmt.Sprintf("open, start %d", n), func() bool {
		s, err := gate.ReadStatus(g.status)
		return err == nil && s.Open && len(g.starts()) == n
	})
}

// waitClosed waits until the gate is closed for a reason and no daemon is
// left.
func (g *gated) waitClosed(reason string) {
	g.t.Helper()
	g.eventually("closed: "+reason, func() bool {
		s, err := gate.ReadStatus(g.status)
		return err == nil && !s.Open && strings.Contains(s.Reason, reason)
	})
	g.eventually("the daemon has ended", func() bool {
		for _, pid := range g.starts() {
			if syscall.Kill(pid, 0) == nil {
				return false
			}
		}
		return true
	})
}

func (g *gated) waitExit(code int) {
	g.t.Helper()
	select {
	case err := <-g.ended:
		g.ended <- err
		require.Equal(g.t, code, g.cmd.ProcessState.ExitCode())
	case <-time.After(15 * time.Second):
		g.t.Fatal("the gate goes on")
	}
}

func TestDaemonComesAndGoesWithTheDisk(t *testing.T) {
	t.Parallel()
	for _, fileSystem := range []string{"btrfs", "ext4", "xfs"} {
		t.Run(fileSystem, func(t *testing.T) {
			t.Parallel()
			d := disktest.New(t, fileSystem)
			d.Adopt()
			d.Unmount()
			g := start(t, d.Root, daemon)
			g.waitClosed("nothing is mounted there")
			require.Empty(t, g.events(), "nothing starts without a disk")
			d.Mount()
			g.waitOpen(1)
			d.Unmount()
			g.waitClosed("nothing is mounted there")
			require.Contains(t, g.events(), "term", "the daemon is asked before it is killed")
			entries, err := os.ReadDir(d.Path())
			require.NoError(t, err)
			require.Empty(t, entries, "nothing is written beneath the mount point")
			d.Mount()
			g.waitOpen(2)
		})
	}
}

func TestAnotherMountingOfTheSameDiskRestartsTheDaemon(t *testing.T) {
	t.Parallel()
	d := disktest.New(t, "ext4")
	d.Adopt()
	g := start(t, d.Root, daemon)
	g.waitOpen(1)
	for round := 2; round <= 6; round++ {
		d.Unmount()
		d.Mount()
		g.waitOpen(round)
	}
}

func TestNewGenerationRestartsTheDaemon(t *testing.T) {
	t.Parallel()
	d := disktest.New(t, "ext4")
	d.Adopt()
	g := start(t, d.Root, daemon)
	g.waitOpen(1)
	require.NoError(t, os.Rename(d.In(config.SentinelFile), d.In("old")))
	g.waitClosed("it wasn't adopted")
	adoption := d.Adoption()
	adoption.AllowNonEmpty = true
	_, _, err := adoption.Run()
	require.NoError(t, err)
	g.waitOpen(2)
}

func TestBrokenDiskEndsTheDaemon(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, fileSystem string
		hurt             func(d *disktest.Disk)
		reason           string
		heal             func(d *disktest.Disk) // nil: there is no way back without another mounting
	}{
		{"dead ext4", "ext4", (*disktest.Disk).Shutdown, "input/output error", nil},
		{"dead xfs", "xfs", (*disktest.Disk).Shutdown, "input/output error", nil},
		{"read-only", "ext4", func(d *disktest.Disk) { d.Remount("ro") }, "read-only", func(d *disktest.Disk) { d.Remount("rw") }},
		{"hanging writes", "ext4", (*disktest.Disk).Freeze, "hasn't answered a write", (*disktest.Disk).Thaw},
		{"hanging writes on btrfs", "btrfs", (*disktest.Disk).Freeze, "hasn't answered a write", (*disktest.Disk).Thaw},
		{"no sentinel", "ext4", func(d *disktest.Disk) { require.NoError(t, os.Rename(d.In(config.SentinelFile), d.In("aside"))) }, "it wasn't adopted",
			func(d *disktest.Disk) { require.NoError(t, os.Rename(d.In("aside"), d.In(config.SentinelFile))) }},
		{"no probe folder", "ext4", func(d *disktest.Disk) { require.NoError(t, os.Remove(d.In(config.ProbeDirectory))) }, "adopt",
			func(d *disktest.Disk) { _, _, err := d.Adoption().Run(); require.NoError(t, err) }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			d := disktest.New(t, test.fileSystem)
			d.Adopt()
			g := start(t, d.Root, daemon)
			g.waitOpen(1)
			test.hurt(d)
			g.waitClosed(test.reason)
			if test.heal == nil {
				d.Unmount()
				g.waitClosed("nothing is mounted there")
				d.Mount()
			} else {
				test.heal(d)
			}
			g.waitOpen(2)
		})
	}
}

func TestDiskOfAnotherClusterStartsNothing(t *testing.T) {
	t.Parallel()
	d := disktest.New(t, "ext4")
	adoption := d.Adoption()
	adoption.Cluster = "neighbour"
	_, _, err := adoption.Run()
	require.NoError(t, err)
	g := start(t, d.Root, daemon)
	g.waitClosed(`disk "data" of "neighbour"`)
	require.Empty(t, g.events())
}

func TestFullDiskGoesOnServing(t *testing.T) {
	t.Parallel()
	for _, fileSystem := range []string{"btrfs", "ext4", "xfs"} {
		t.Run(fileSystem, func(t *testing.T) {
			t.Parallel()
			d := disktest.New(t, fileSystem)
			d.Adopt()
			g := start(t, d.Root, daemon)
			g.waitOpen(1)
			d.Fill()
			g.eventually("the status tells that the disk is full", func() bool {
				s, err := gate.ReadStatus(g.status)
				return err == nil && s.Open && strings.Contains(s.Reason, "full")
			})
			require.NoError(t, os.Remove(d.In("filler")))
			g.eventually("and no longer", func() bool {
				s, err := gate.ReadStatus(g.status)
				return err == nil && s.Open && s.Reason == ""
			})
			require.Len(t, g.starts(), 1, "the daemon was never restarted")
		})
	}
}

// A disk that answers no read hangs for real: the gate's cgroup may read one
// byte per second from it.
func TestHangingReadsEndTheDaemon(t *testing.T) {
	t.Parallel()
	const controller = "/sys/fs/cgroup/blkio"
	if _, err := os.Stat(filepath.Join(controller, "blkio.throttle.read_bps_device")); err != nil {
		t.Skip("needs a blkio controller with throttling: run on a machine with cgroup v1")
	}
	d := disktest.New(t, "ext4")
	d.Adopt()
	group := filepath.Join(controller, filepath.Base(filepath.Dir(d.Root)))
	require.NoError(t, os.Mkdir(group, 0o755))
	// Before the gate starts, so that it is removed after the gate has ended.
	t.Cleanup(func() { assert.NoError(t, os.Remove(group)) })
	g := start(t, d.Root, daemon)
	g.waitOpen(1)
	major, minor := d.Device()
	throttle := func(bytesPerSecond int) {
		rule := fmt.Sprintf("%d:%d %d", major, minor, bytesPerSecond)
		require.NoError(t, os.WriteFile(filepath.Join(group, "blkio.throttle.read_bps_device"), []byte(rule), 0))
	}
	require.NoError(t, os.WriteFile(filepath.Join(group, "cgroup.procs"), []byte(strconv.Itoa(g.cmd.Process.Pid)), 0))
	throttle(1)
	g.waitClosed("hasn't answered a read")
	threads := countThreads(t, g.cmd.Process.Pid)
	g.eventually("the probe is still under way long after", func() bool {
		s, err := gate.ReadStatus(g.status)
		return err == nil && !s.Open
	})
	require.LessOrEqual(t, countThreads(t, g.cmd.Process.Pid), threads+1, "probes don't pile up")
	throttle(0)
	g.waitOpen(2)
}

func countThreads(t *testing.T, pid int) int {
	t.Helper()
	threads, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	require.NoError(t, err)
	return len(threads)
}

// What hangs on a disk that was replaced must not keep the new one closed.
func TestNewDiskIsServedWhileTheOldOneStillHangs(t *testing.T) {
	t.Parallel()
	d := disktest.New(t, "ext4")
	d.Adopt()
	replacement := disktest.New(t, "ext4")
	replacement.Adopt()
	g := start(t, d.Root, daemon)
	g.waitOpen(1)
	d.Freeze()
	g.waitClosed("hasn't answered a write")
	require.NoError(t, unix.Mount(replacement.Path(), d.Path(), "", unix.MS_BIND, ""))
	t.Cleanup(func() { _ = unix.Unmount(d.Path(), unix.MNT_DETACH) })
	g.waitOpen(2)
	require.Len(t, g.starts(), 2)
	d.Unmount()
	g.waitClosed("hasn't answered a write")
	d.Thaw()
	g.waitOpen(3)
}

func TestExitCodeIsTheDaemons(t *testing.T) {
	t.Parallel()
	d := disktest.New(t, "ext4")
	d.Adopt()
	tests := []struct {
		name, script string
		code         int
	}{
		{"success", `exit 0`, 0},
		{"failure", `exit 7`, 7},
		{"a signal", `kill -KILL $$`, 128 + 9},
		{"a daemon that leaves processes", `setsid sleep 1000 & (sleep 1000 &) ; exit 5`, 5},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			g := start(t, d.Root, test.script)
			g.waitExit(test.code)
		})
	}
}

func TestDaemonThatDiesOfTheDiskIsWaitedFor(t *testing.T) {
	t.Parallel()
	d := disktest.New(t, "ext4")
	d.Adopt()
	// It notices before the gate does.
	g := start(t, d.Root, fmt.Sprintf(`echo "start $$" >> "$LOG"; while echo x > %s/shares/x; do sleep 0.02; done; exit 9`, d.Path()))
	g.waitOpen(1)
	d.Shutdown()
	g.waitClosed("input/output error")
	d.Unmount()
	d.Mount()
	g.waitOpen(2)
}

func TestTermReachesTheDaemonWhichHasItsTime(t *testing.T) {
	t.Parallel()
	d := disktest.New(t, "ext4")
	d.Adopt()
	g := start(t, d.Root, `echo "start $$" >> "$LOG"; trap 'echo term >> "$LOG"; sleep 4; echo done >> "$LOG"; exit 3' TERM; while :; do sleep 0.05; done`)
	g.waitOpen(1)
	require.NoError(t, g.cmd.Process.Signal(syscall.SIGTERM))
	g.waitExit(3)
	require.Contains(t, g.events(), "done", "longer than what a gate gives when the disk is gone")
}

func TestTermEndsAWaitingGate(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Log("runs without root as well")
	}
	g := start(t, t.TempDir(), daemon)
	g.waitClosed("no disk at")
	require.NoError(t, g.cmd.Process.Signal(syscall.SIGTERM))
	g.waitExit(143)
}

func TestDaemonThatIgnoresTermIsKilled(t *testing.T) {
	t.Parallel()
	d := disktest.New(t, "ext4")
	d.Adopt()
	g := start(t, d.Root, `echo "start $$" >> "$LOG"; trap '' TERM; while :; do sleep 0.05; done`)
	g.waitOpen(1)
	d.Unmount()
	g.waitClosed("nothing is mounted there")
}

func TestReloadReachesTheDaemon(t *testing.T) {
	t.Parallel()
	d := disktest.New(t, "ext4")
	d.Adopt()
	g := start(t, d.Root, `trap 'echo reload >> "$LOG"' HUP; echo "start $$" >> "$LOG"; while :; do sleep 0.05; done`)
	g.waitOpen(1)
	require.NoError(t, g.cmd.Process.Signal(syscall.SIGHUP))
	g.eventually("the daemon reloads", func() bool { return strings.Contains(strings.Join(g.events(), " "), "reload") })
}

func TestProcessesThatTheDaemonLeftEndWithIt(t *testing.T) {
	t.Parallel()
	d := disktest.New(t, "ext4")
	d.Adopt()
	g := start(t, d.Root, `setsid sh -c 'echo "start $$" >> "$LOG"; exec sleep 1000' & wait; while :; do sleep 1; done`)
	g.waitOpen(1)
	d.Unmount()
	g.waitClosed("nothing is mounted there")
}

func TestBeginComesBeforeAndEndAfterTheDaemon(t *testing.T) {
	t.Parallel()
	d := disktest.New(t, "ext4")
	d.Adopt()
	g := startWith(t, d.Root, daemon, withBegin+"=1")
	g.waitOpen(1)
	d.Unmount()
	g.waitClosed("nothing is mounted there")
	g.eventually("the end isn't orderly", func() bool { return slices.Contains(g.events(), "end false") })
	d.Mount()
	g.waitOpen(2)
	require.NoError(t, g.cmd.Process.Signal(syscall.SIGTERM))
	g.waitExit(3)
	pids := g.starts()
	require.Equal(t, []string{
		"begin ext4", fmt.Sprintf("start %d", pids[0]), "term", "end false",
		"begin ext4", fmt.Sprintf("start %d", pids[1]), "term", "end true",
	}, g.events())
}

func TestDaemonThatEndsByItselfEndsInOrder(t *testing.T) {
	t.Parallel()
	d := disktest.New(t, "ext4")
	d.Adopt()
	g := startWith(t, d.Root, `echo "start $$" >> "$LOG"; [ "$0" = --from-begin ] && exit 5`, withBegin+"=1") // what Begin adds comes last
	g.waitExit(5)
	require.Equal(t, "end true", g.events()[2])
}

func TestRefusedBeginningKeepsTheGateClosed(t *testing.T) {
	t.Parallel()
	d := disktest.New(t, "ext4")
	d.Unmount()
	g := startWith(t, d.Root, daemon, withBegin+"=1")
	g.waitClosed("nothing is mounted there")
	refuse := g.log + ".refuse"
	require.NoError(t, os.WriteFile(refuse, nil, 0o600))
	d.Mount()
	d.Adopt()
	g.waitClosed("refused by the test")
	require.Empty(t, g.events())
	require.NoError(t, os.Remove(refuse))
	g.waitOpen(1) // asked again
}

// What can't be stored on a disk that was replaced keeps nobody waiting.
func TestEndThatHangsIsGivenUpWithItsDisk(t *testing.T) {
	t.Parallel()
	d := disktest.New(t, "ext4")
	d.Adopt()
	g := startWith(t, d.Root, `echo "start $$" >> "$LOG"; while [ ! -e "$LOG.stop" ]; do sleep 0.05; done`, withBegin+"=1")
	g.waitOpen(1)
	require.NoError(t, os.WriteFile(g.log+".hang", nil, 0o600))
	require.NoError(t, os.WriteFile(g.log+".stop", nil, 0o600))
	g.eventually("the daemon has ended", func() bool { return syscall.Kill(g.starts()[0], 0) != nil })
	d.Unmount()
	g.waitClosed("nothing is mounted there")
	require.NoError(t, os.Remove(g.log+".stop"))
	d.Mount()
	g.waitOpen(2)
	require.NoError(t, os.Remove(g.log+".hang"))
	g.eventually("the late end changes nothing", func() bool { return slices.Contains(g.events(), "end true") })
	g.waitOpen(2)
}

// reloader writes down its start and every HUP.
const reloader = `trap 'echo reload >> "$LOG"' HUP; echo "start $$" >> "$LOG"; while :; do sleep 0.05; done`

func (g *gated) reloads() (n int) {
	for _, event := range g.events() {
		if event == "reload" {
			n++
		}
	}
	return n
}

func TestDaemonIsToldOfWhatChanged(t *testing.T) {
	t.Parallel()
	d := disktest.New(t, "ext4")
	d.Adopt()
	configuration := filepath.Join(t.TempDir(), "conf")
	require.NoError(t, os.WriteFile(configuration, []byte("one"), 0o600))
	g := startWith(t, d.Root, reloader, follows+"="+configuration)
	g.waitOpen(1)
	require.NoError(t, os.WriteFile(configuration, []byte("two"), 0o600))
	g.eventually("a file changed", func() bool { return g.reloads() == 1 })
	require.NoError(t, os.Mkdir(d.In("shares/photos"), 0o770))
	g.eventually("a folder came", func() bool { return g.reloads() == 2 })
	require.NoError(t, os.WriteFile(d.In("shares/photos/picture"), nil, 0o600))
	d.Unmount()
	g.waitClosed("nothing is mounted there")
	require.NoError(t, os.WriteFile(configuration, []byte("three"), 0o600))
	d.Mount()
	g.waitOpen(2)
	require.NoError(t, os.WriteFile(configuration, []byte("four"), 0o600))
	g.eventually("a file changed again", func() bool { return g.reloads() == 3 })
	require.Equal(t, 3, g.reloads(), "what the daemon has read at its start, or what lies in a share, is no change")
}

func TestReloadThatFailsIsTriedAgain(t *testing.T) {
	t.Parallel()
	d := disktest.New(t, "ext4")
	d.Adopt()
	folder := t.TempDir()
	configuration, tell := filepath.Join(folder, "conf"), filepath.Join(folder, "tell")
	require.NoError(t, os.WriteFile(configuration, nil, 0o600))
	require.NoError(t, os.WriteFile(tell, []byte("#!/bin/sh\necho reload >> \"$LOG\"\n[ -e "+folder+"/agree ]\n"), 0o700))
	g := startWith(t, d.Root, daemon, follows+"="+configuration, reloads+"="+tell)
	g.waitOpen(1)
	require.NoError(t, os.WriteFile(configuration, []byte("changed"), 0o600))
	g.eventually("tried again", func() bool { return g.reloads() >= 2 })
	require.NoError(t, os.WriteFile(folder+"/agree", nil, 0o600))
	n := g.reloads()
	g.eventually("until it works", func() bool { return g.reloads() > n })
	require.Len(t, g.starts(), 1)
	require.NoError(t, g.cmd.Process.Signal(syscall.SIGTERM))
	g.waitExit(3)
}
