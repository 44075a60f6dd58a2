package vip_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tmorin/homecloud/internal/vip"
)

// asAgent makes the test binary do one thing inside a network namespace.
const asAgent = "HOMECLOUD_TEST_VIP"

func TestMain(m *testing.M) {
	switch os.Getenv(asAgent) {
	case "remove":
		from, err := vip.RemoveStale(netip.MustParseAddr(os.Args[1]), os.Args[2])
		fmt.Println(from, err)
		if err != nil {
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// network is two boards on one cable, each a network namespace.
type network struct {
	t      *testing.T
	boards [2]string
}

const address = "10.99.7.50"

func newNetwork(t *testing.T) *network {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: makes network namespaces")
	}
	if _, err := exec.LookPath("ip"); err != nil {
		t.Skip("needs ip: make deps installs iproute2")
	}
	id := fmt.Sprintf("%x", os.Getpid())
	n := &network{t: t, boards: [2]string{"hcvip-" + id + "-a", "hcvip-" + id + "-b"}}
	for _, board := range n.boards {
		run(t, "ip", "netns", "add", board)
		t.Cleanup(func() { _ = exec.Command("ip", "netns", "del", board).Run() })
	}
	run(t, "ip", "link", "add", "eth0", "netns", n.boards[0], "type", "veth", "peer", "name", "eth0", "netns", n.boards[1])
	for i, board := range n.boards {
		run(t, "ip", "-n", board, "addr", "add", fmt.Sprintf("10.99.7.1%d/24", i), "dev", "eth0")
		run(t, "ip", "-n", board, "addr", "add", fmt.Sprintf("fd00:99::1%d/64", i), "dev", "eth0", "nodad")
		run(t, "ip", "-n", board, "link", "set", "eth0", "up")
		run(t, "ip", "-n", board, "link", "set", "lo", "up")
	}
	return n
}

func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	output, err := exec.Command(name, args...).CombinedOutput()
	require.NoError(t, err, "%s %s: %s", name, strings.Join(args, " "), output)
	return string(output)
}

func (n *network) holds(board int, address string) bool {
	n.t.Helper()
	return strings.Contains(run(n.t, "ip", "-n", n.boards[board], "addr", "show", "dev", "eth0"), address+"/")
}

// inside is a command in a board's namespace.
func (n *network) inside(board int, environment string, args ...string) *exec.Cmd {
	cmd := exec.Command("ip", append([]string{"netns", "exec", n.boards[board]}, args...)...)
	cmd.Env = append(os.Environ(), environment)
	return cmd
}

func (n *network) remove(address, onInterface string) (string, error) {
	self, err := os.Executable()
	require.NoError(n.t, err)
	output, err := n.inside(0, asAgent+"=remove", self, address, onInterface).CombinedOutput()
	return string(output), err
}

func TestStaleAddressIsRemovedAndOthersStay(t *testing.T) {
	n := newNetwork(t)
	for _, stale := range []struct{ address, prefix string }{{address, "/32"}, {address, "/24"}, {"fd00:99::50", "/128"}} {
		for _, onInterface := range []string{"eth0", ""} {
			run(t, "ip", "-n", n.boards[0], "addr", "add", stale.address+stale.prefix, "dev", "eth0")
			output, err := n.remove(stale.address, onInterface)
			require.NoError(t, err, output)
			require.Contains(t, output, "[eth0]")
			require.False(t, n.holds(0, stale.address))
			require.True(t, n.holds(0, "10.99.7.10"), "the board's own address stays")
			require.True(t, n.holds(0, "fd00:99::10"))
		}
	}
	output, err := n.remove(address, "")
	require.NoError(t, err, output)
	require.Contains(t, output, "[]", "nothing to do is no error")
	output, err = n.remove(address, "eth7")
	require.Error(t, err)
	require.Contains(t, output, "no interface eth7")
}

func TestRemovalWithoutTheCapabilitySaysSo(t *testing.T) {
	n := newNetwork(t)
	run(t, "ip", "-n", n.boards[0], "addr", "add", address+"/32", "dev", "eth0")
	self, err := os.Executable()
	require.NoError(t, err)
	cmd := n.inside(0, asAgent+"=remove", "setpriv", "--bounding-set=-all", "--inh-caps=-all", self, address, "")
	output, err := cmd.CombinedOutput()
	require.Error(t, err)
	require.Contains(t, string(output), "operation not permitted")
	require.True(t, n.holds(0, address))
}

// Real keepalived on two boards, with the configuration that the chart
// renders.
func TestUnhealthyBoardGivesTheAddressAway(t *testing.T) {
	if testing.Short() {
		t.Skip("runs two real keepalived: make test-daemons runs it")
	}
	if _, err := exec.LookPath("keepalived"); err != nil {
		t.Skip("needs keepalived: make test-daemons brings it")
	}
	n := newNetwork(t)
	folders := [2]string{t.TempDir(), t.TempDir()}
	var health [2]*healthOf
	var logs [2]*bytes.Buffer
	for i := range n.boards {
		health[i] = startHealth(t, folders[i])
		logs[i] = n.startKeepalived(i, folders[i])
	}
	eventually := func(what string, condition func() bool) {
		t.Helper()
		if !assertEventually(condition) {
			t.Fatalf("%s\nboard 0:\n%s\nboard 1:\n%s", what, logs[0], logs[1])
		}
	}
	holder := func(board int) func() bool {
		return func() bool { return n.holds(board, address) && !n.holds(1-board, address) }
	}
	require.Never(t, func() bool { return n.holds(0, address) || n.holds(1, address) }, time.Second, 50*time.Millisecond,
		"nobody is healthy yet")
	health[0].serve()
	eventually("the healthy board takes the address", holder(0))
	health[1].serve()
	health[0].stop()
	began := time.Now()
	eventually("it moves to the other one", holder(1))
	t.Logf("moved %s after the service ended", time.Since(began).Round(10*time.Millisecond))
	health[0].serve()
	eventually("the board is healthy again", func() bool { return health[0].file() == "0\n" })
	require.Never(t, func() bool { return n.holds(0, address) }, time.Second, 50*time.Millisecond, "and doesn't take it back")
}

func assertEventually(condition func() bool) bool {
	deadline := time.Now().Add(15 * time.Second)
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for time.Now().Before(deadline) {
		if condition() {
			return true
		}
		<-ticker.C
	}
	return false
}

func (n *network) startKeepalived(board int, folder string) *bytes.Buffer {
	n.t.Helper()
	configuration := fmt.Sprintf(`global_defs {
  router_id board-%d
  vrrp_version 3
}
track_file smb {
  file "%s/smb"
  weight 0
  init_file 1
}
vrrp_instance homecloud {
  state BACKUP
  nopreempt
  interface eth0
  virtual_router_id 51
  priority %d
  advert_int 0.1
  unicast_src_ip 10.99.7.1%d
  unicast_peer {
    10.99.7.1%d
  }
  virtual_ipaddress {
    %s/32 dev eth0
  }
  track_file {
    smb
  }
}
`, board, folder, 110-10*board, board, 1-board, address)
	path := filepath.Join(folder, "keepalived.conf")
	require.NoError(n.t, os.WriteFile(path, []byte(configuration), 0o600))
	cmd := n.inside(board, "", "keepalived", "--dont-fork", "--log-console", "--log-detail", "--vrrp", "--use-file="+path,
		"--pid="+filepath.Join(folder, "pid"), "--vrrp_pid="+filepath.Join(folder, "vrrp.pid"))
	log := &bytes.Buffer{}
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	require.NoError(n.t, cmd.Start())
	n.t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
	})
	return log
}

// healthOf is a running Health with the service it checks.
type healthOf struct {
	t        *testing.T
	folder   string
	address  string
	listener net.Listener
}

func startHealth(t *testing.T, folder string) *healthOf {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	h := &healthOf{t: t, folder: folder, address: listener.Addr().String()}
	require.NoError(t, listener.Close())
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	health := vip.Health{Dir: folder, Checks: []vip.Check{{Name: "smb", Address: h.address}},
		Interval: 50 * time.Millisecond, Log: slog.New(slog.DiscardHandler)}
	go func() { ended <- health.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-ended)
		h.stop()
	})
	require.Eventually(t, func() bool { return h.file() == "1\n" }, 5*time.Second, 10*time.Millisecond, "unhealthy until it answered")
	return h
}

func (h *healthOf) serve() {
	h.t.Helper()
	var err error
	h.listener, err = net.Listen("tcp", h.address)
	require.NoError(h.t, err)
}

func (h *healthOf) stop() {
	if h.listener != nil {
		h.listener.Close()
	}
}

func (h *healthOf) file() string {
	content, _ := os.ReadFile(filepath.Join(h.folder, "smb"))
	return string(content)
}

func TestHealthFollowsTheService(t *testing.T) {
	h := startHealth(t, t.TempDir())
	h.serve()
	require.Eventually(t, func() bool { return h.file() == "0\n" }, 5*time.Second, 10*time.Millisecond)
	h.stop()
	require.Eventually(t, func() bool { return h.file() == "1\n" }, 5*time.Second, 10*time.Millisecond)
}

func TestChecksAreRefusedWithWhatToWrite(t *testing.T) {
	for text, want := range map[string]string{
		"smb": "NAME=tcp:HOST:PORT", "smb=udp:1.2.3.4:5": "NAME=tcp:HOST:PORT", "smb=tcp:host": "missing port",
		"../x=tcp:h:1": "can't be a file's name", "=tcp:h:1": "can't be a file's name",
	} {
		_, err := vip.ParseCheck(text)
		require.ErrorContains(t, err, want, text)
	}
	check, err := vip.ParseCheck("smb=tcp:[::1]:445")
	require.NoError(t, err)
	require.Equal(t, vip.Check{Name: "smb", Address: "[::1]:445"}, check)
}
