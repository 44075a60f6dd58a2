package syncthing_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tmorin/homecloud/internal/config"
	"github.com/tmorin/homecloud/internal/deviceidentity"
	"github.com/tmorin/homecloud/internal/disk/disktest"
	"github.com/tmorin/homecloud/internal/syncthing"
)

// syncthingBinary finds a real Syncthing: SYNCTHING, or the one that the
// images are built with.
func syncthingBinary(t *testing.T) string {
	t.Helper()
	if path := os.Getenv("SYNCTHING"); path != "" {
		return path
	}
	cache, err := os.UserCacheDir()
	require.NoError(t, err)
	path := filepath.Join(cache, "homecloud", "bin", "syncthing-v1.30.0")
	if _, err := os.Stat(path); err != nil {
		t.Skipf("needs a Syncthing: set SYNCTHING, or build the images once (%s)", path)
	}
	return path
}

// cluster is a set of nodes, each with a disk, a Syncthing and a reconciler,
// all on this machine.
type cluster struct {
	t        *testing.T
	binary   string
	folder   string
	settings syncthing.Settings
	nodes    map[string]*node
	peers    map[string]string // content of the peers' Secret
}

type node struct {
	*cluster
	name       string
	disk       *disktest.Disk
	home       string
	boot       string // of the board; empty: this machine's
	socket     string
	identity   string
	id         config.DeviceID
	log        *lockedBuffer // of the reconciler
	daemon     *exec.Cmd
	interrupt  atomic.Value // failpoint at which the reconciler stops
	reached    atomic.Bool  // it was there
	scans      atomic.Int64 // that the reconciler asked for
	around     atomic.Value // func(*http.Request) func(): done before a request of the reconciler, and after it
	session    *syncthing.Session
	endSession func(orderly bool) error // nil: it was started without a disk
	reconciler func()                   // ends it
	changes    *atomic.Int64            // that the reconciler asked for
}

// startCluster gives every node an empty adopted disk and starts it.
func startCluster(t *testing.T, names ...string) *cluster {
	t.Helper()
	return startClusterOn(t, "ext4", names...)
}

func startClusterOn(t *testing.T, fileSystem string, names ...string) *cluster {
	t.Helper()
	c := newClusterOn(t, fileSystem, names...)
	for _, name := range names {
		c.nodes[name].start()
	}
	return c
}

func newCluster(t *testing.T, names ...string) *cluster {
	t.Helper()
	return newClusterOn(t, "ext4", names...)
}

func newClusterOn(t *testing.T, fileSystem string, names ...string) *cluster {
	t.Helper()
	if testing.Short() {
		t.Skip("runs real Syncthings: make test-daemons runs it")
	}
	binary := syncthingBinary(t)
	folder, err := os.MkdirTemp("", "homecloud-st-") // short: it holds Unix sockets
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(folder) })
	c := &cluster{t: t, binary: binary, folder: folder, nodes: map[string]*node{}, peers: map[string]string{"apiKey": "key-of-the-test"}}
	c.settings = syncthing.Settings{
		Cluster: "home", Disk: "data", ListenPort: freePort(t), AccountPort: freePort(t), Discovery: "none",
		Owner: syncthing.Owner{UID: os.Getuid(), GID: os.Getgid()}, WatcherDelaySeconds: 0.1,
		Nodes: map[string]syncthing.NodeSettings{}, Devices: map[string]syncthing.DeviceSettings{},
		Folders: map[string]syncthing.FolderSettings{"photos": {ID: "home-photos", VersionsDays: 90}},
	}
	for i, name := range names {
		n := &node{cluster: c, name: name, log: &lockedBuffer{}, disk: disktest.New(t, fileSystem)}
		n.disk.Adopt()
		n.home = filepath.Join(folder, name, "home")
		n.identity = filepath.Join(folder, name, "identity")
		n.socket = filepath.Join(folder, name, "gui.sock")
		require.NoError(t, os.MkdirAll(n.home, 0o700))
		require.NoError(t, os.MkdirAll(n.identity, 0o700))
		certificate, key, err := deviceidentity.New()
		require.NoError(t, err)
		write(t, filepath.Join(n.identity, "cert.pem"), string(certificate))
		write(t, filepath.Join(n.identity, "key.pem"), string(key))
		pair, err := tls.X509KeyPair(certificate, key)
		require.NoError(t, err)
		n.id = config.NewDeviceID(pair.Certificate[0])
		// Every node has a loopback address of its own, as boards have.
		c.settings.Nodes[name] = syncthing.NodeSettings{Address: net.IPv4(127, 0, 7, byte(i+1)).String()}
		c.peers[name] = string(n.id)
		c.nodes[name] = n
	}
	c.publish()
	return c
}

// publish writes what Kubernetes would mount; running reconcilers follow.
func (c *cluster) publish() {
	c.t.Helper()
	for name, n := range c.nodes {
		settings := c.settings
		settings.DataRoot = n.disk.Root
		encoded, err := json.Marshal(settings)
		require.NoError(c.t, err)
		replace(c.t, filepath.Join(c.folder, name, "syncthing.json"), string(encoded))
	}
	folder := filepath.Join(c.folder, "peers")
	require.NoError(c.t, os.MkdirAll(folder, 0o700))
	for name, content := range c.peers {
		replace(c.t, filepath.Join(folder, name), content)
	}
}

// keepVersions says how long Syncthing keeps what it replaces; 0: not at all.
func (c *cluster) keepVersions(days int) {
	photos := c.settings.Folders["photos"]
	photos.VersionsDays = days
	c.settings.Folders["photos"] = photos
	c.publish()
}

func (n *node) prepare() error {
	settings, err := syncthing.LoadSettings(n.settingsFile(), n.name)
	if err != nil {
		return err
	}
	return syncthing.Preparation{Settings: settings, Node: n.name, Identity: n.identity,
		Peers: filepath.Join(n.folder, "peers"), Home: n.home, Log: slog.New(slog.DiscardHandler)}.Run()
}

func (n *node) settingsFile() string { return filepath.Join(n.folder, n.name, "syncthing.json") }

func (n *node) start() {
	n.t.Helper()
	require.NoError(n.t, n.prepare())
	n.startDaemon()
	n.startReconciler()
}

// startDaemon starts Syncthing as its gate does.
func (n *node) startDaemon() {
	n.t.Helper()
	n.endSession = nil
	var more []string
	if found, err := n.disk.Expectation().Check(); err == nil {
		if n.session == nil {
			n.session = &syncthing.Session{Disk: n.disk.Expectation(), Home: n.home, Log: slog.New(slog.NewTextHandler(n.log, nil))}
			syncthing.SetBoot(n.session, n.boot)
		}
		more, n.endSession, err = n.session.Begin(found)
		require.NoError(n.t, err)
	}
	n.daemon = exec.Command(n.binary, append([]string{"serve", "--home=" + n.home, "--no-browser", "--no-restart", "--gui-address=unix://" + n.socket}, more...)...)
	n.daemon.Env = append(os.Environ(), "STNOUPGRADE=1", "STMONITORED=yes", "HOME="+n.home)
	output := &lockedBuffer{}
	n.daemon.Stdout, n.daemon.Stderr = output, output
	n.daemon.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	require.NoError(n.t, n.daemon.Start())
	daemon := n.daemon
	n.t.Cleanup(func() {
		_ = syscall.Kill(-daemon.Process.Pid, syscall.SIGKILL)
		_ = daemon.Wait()
		if n.t.Failed() {
			n.t.Logf("Syncthing on %s said:\n%s", n.name, output)
		}
	})
}

// stopDaemon ends Syncthing as a gate does.
func (n *node) stopDaemon() {
	n.t.Helper()
	require.NoError(n.t, n.daemon.Process.Signal(syscall.SIGTERM))
	_ = n.daemon.Wait()
	if n.endSession != nil {
		require.NoError(n.t, n.endSession(true))
	}
}

// tear takes the disk away from a running Syncthing and gives back what
// rollBack makes of it.
func (n *node) tear(rollBack func()) {
	n.t.Helper()
	n.pull(rollBack)
	n.plugIn()
}

func (n *node) pull(rollBack func()) {
	n.t.Helper()
	_ = n.daemon.Process.Kill()
	_ = n.daemon.Wait()
	require.NoError(n.t, n.endSession(false))
	n.disk.Unmount()
	rollBack()
}

// killGate ends gate and Syncthing at once, as a lack of memory may.
func (n *node) killGate() {
	n.t.Helper()
	require.NoError(n.t, n.daemon.Process.Kill())
	_ = n.daemon.Wait()
	n.session = nil
}

func (n *node) plugIn() {
	n.t.Helper()
	n.disk.Mount()
	n.startDaemon()
}

func (n *node) startReconciler() {
	n.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r := &syncthing.Reconciler{
		Config: n.settingsFile(), Node: n.name, Peers: filepath.Join(n.folder, "peers"), Socket: n.proxy(), Home: n.home,
		Log:  slog.New(slog.NewTextHandler(n.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Look: 100 * time.Millisecond, Steady: 300 * time.Millisecond, Patience: 3 * time.Second, Silence: time.Second,
	}
	syncthing.SetFailpoint(r, func(place string) error {
		if n.interrupt.Load() != place {
			return nil
		}
		n.reached.Store(true)
		return errors.New("interrupted by the test: " + place)
	})
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	n.reconciler = sync.OnceFunc(func() {
		cancel()
		assert.NoError(n.t, <-ended)
		if n.t.Failed() {
			n.t.Logf("the reconciler on %s said:\n%s", n.name, n.log)
		}
	})
	n.t.Cleanup(n.reconciler)
}

// proxy stands between a reconciler and Syncthing and counts the requests
// that could change something.
func (n *node) proxy() string {
	n.t.Helper()
	socket := filepath.Join(n.folder, n.name, "proxy.sock")
	_ = os.Remove(socket)
	listener, err := net.Listen("unix", socket)
	require.NoError(n.t, err)
	changes := &atomic.Int64{}
	n.changes = changes
	forward := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			if r.In.Method != http.MethodGet {
				changes.Add(1)
			}
			r.Out.URL.Scheme, r.Out.URL.Host = "http", "syncthing"
		},
		Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", n.socket)
		}},
		ErrorLog: log.New(io.Discard, "", 0),
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/rest/db/scan" {
			n.scans.Add(1)
		}
		if around, is := n.around.Load().(func(*http.Request) func()); is {
			defer around(r)()
		}
		if r.URL.Path == "/rest/db/revert" {
			// Syncthing answers before it has done it; here, long before.
			late := r.Clone(context.WithoutCancel(r.Context()))
			time.AfterFunc(time.Second, func() { forward.ServeHTTP(httptest.NewRecorder(), late) })
			return
		}
		forward.ServeHTTP(w, r)
	})}
	go func() { _ = server.Serve(listener) }()
	n.t.Cleanup(func() { _ = server.Close() })
	return socket
}

// share is a path in the share photos.
func (n *node) share(name string) string { return n.disk.In("shares/photos/" + name) }

func (n *node) put(name, content string) { write(n.t, n.share(name), content) }

func (n *node) has(name, content string) bool {
	if info, err := os.Lstat(n.share(name)); err != nil || !info.Mode().IsRegular() {
		return false
	}
	got, err := os.ReadFile(n.share(name))
	return err == nil && string(got) == content
}

// rest asks this node's Syncthing.
func (n *node) rest(path string, answer any) {
	n.t.Helper()
	require.NoError(n.t, n.tryREST(path, answer))
}

func (n *node) tryPost(path string) error { return n.ask(http.MethodPost, path, "", nil) }

func (n *node) tryREST(path string, answer any) error { return n.ask(http.MethodGet, path, "", answer) }

func (n *node) ask(method, path, body string, answer any) error {
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", n.socket)
	}}}
	request, err := http.NewRequest(method, "http://syncthing"+path, strings.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("X-API-Key", n.peers["apiKey"])
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode >= http.StatusBadRequest && method == http.MethodPatch {
		return errors.New(response.Status)
	}
	if answer == nil {
		return nil
	}
	return json.NewDecoder(response.Body).Decode(answer)
}

func (n *node) folderField(field string) any {
	var folder map[string]any
	if err := n.tryREST("/rest/config/folders/home-photos", &folder); err != nil {
		return nil
	}
	return folder[field]
}

func (n *node) restFolderIDs() (ids []string) {
	var folders []struct{ ID string }
	_ = n.tryREST("/rest/config/folders", &folders)
	for _, folder := range folders {
		ids = append(ids, folder.ID)
	}
	return ids
}

// deletions counts what this node has been told is deleted.
func (n *node) deletions() int64 {
	var status struct{ GlobalDeleted int64 }
	n.rest("/rest/db/status?folder=home-photos", &status)
	return status.GlobalDeleted
}

func (c *cluster) eventually(what string, condition func() bool) {
	c.t.Helper()
	require.Eventually(c.t, condition, 3*time.Minute, 50*time.Millisecond, what)
}

func (n *node) waitLog(text string) {
	n.t.Helper()
	n.eventually(n.name+" says: "+text, func() bool { return strings.Contains(n.log.String(), text) })
}

func write(t *testing.T, path, content string) {
	t.Helper()
	require.NoError(t, os.WriteFile(path, []byte(content), 0o660))
}

func replace(t *testing.T, path, content string) {
	t.Helper()
	write(t, path+".new", content)
	require.NoError(t, os.Rename(path+".new", path))
}

func freePort(t *testing.T) int {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.7.1:0")
	require.NoError(t, err)
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).Port
}

// lockedBuffer is written by one goroutine and read by another.
type lockedBuffer struct {
	lock   sync.Mutex
	buffer bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.lock.Lock()
	defer b.lock.Unlock()
	return b.buffer.Write(p)
}

func (b *lockedBuffer) String() string {
	b.lock.Lock()
	defer b.lock.Unlock()
	return b.buffer.String()
}

// Reset forgets what was written.
func (b *lockedBuffer) Reset() {
	b.lock.Lock()
	defer b.lock.Unlock()
	b.buffer.Reset()
}

// der is what a certificate's PEM holds.
func der(t *testing.T, certificate []byte) []byte {
	t.Helper()
	block, _ := pem.Decode(certificate)
	require.NotNil(t, block)
	return block.Bytes
}

func (c *cluster) exchange(from, to *node, name, content string) {
	c.t.Helper()
	from.put(name, content)
	c.eventually(to.name+" has "+name, func() bool { return to.has(name, content) })
	c.eventually(from.name+" knows that", func() bool { return from.completion(to) == 100 })
}

func (n *node) completion(other *node) float64 {
	var answer struct{ Completion float64 }
	if n.tryREST("/rest/db/completion?folder=home-photos&device="+string(other.id), &answer) != nil {
		return 0
	}
	return answer.Completion
}

func (n *node) localFiles() int {
	var status struct{ LocalFiles int }
	if n.tryREST("/rest/db/status?folder=home-photos", &status) != nil {
		return -1
	}
	return status.LocalFiles
}

func (n *node) stored() {
	n.t.Helper()
	n.disk.Sync()
}

func storeFile(t *testing.T, path string) {
	t.Helper()
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	require.NoError(t, err)
	require.NoError(t, file.Sync())
	require.NoError(t, file.Close())
}

func (n *node) swap(change func()) {
	n.t.Helper()
	n.stopDaemon()
	n.disk.Unmount()
	change()
	n.plugIn()
}
