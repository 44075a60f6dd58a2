package syncthing_test

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tmorin/homecloud/internal/config"
	"github.com/tmorin/homecloud/internal/syncthing"
)

// oldDisk gives a node a disk with a copy from a month ago.
func (n *node) oldDisk(files map[string]string) {
	n.t.Helper()
	lastMonth := time.Now().AddDate(0, -1, 0)
	n.replaceDisk(func() {
		require.NoError(n.t, os.MkdirAll(n.share(""), 0o770))
		for name, content := range files {
			n.put(name, content)
			require.NoError(n.t, os.Chtimes(n.share(name), lastMonth, lastMonth))
		}
	})
}

// The board that has the newest isn't there when an old disk is compared with
// another board, which was away when it was written.
func TestOldDiskWaitsForEveryBoard(t *testing.T) {
	t.Parallel()
	c := newCluster(t, "node-1", "node-2", "node-3")
	c.keepVersions(0)
	stale, b, newest := c.nodes["node-1"], c.nodes["node-2"], c.nodes["node-3"]
	for _, n := range c.nodes {
		n.start()
	}
	fill(c, stale, b)
	c.eventually("the third has all", func() bool { return holdsAll(newest) })
	stale.stopDaemon()
	c.exchange(b, newest, "doc", "v1")
	c.exchange(b, newest, "doc", "v2 the newest")
	c.atRest(b, newest)
	newest.stopDaemon()
	b.oldDisk(map[string]string{"doc": "v1"})
	stale.startDaemon()
	b.waitLog("node-3 may have something newer, and is waited for: bring it back, or take it out of the cluster file")
	c.eventually("it takes what there is", func() bool { return holdsAll(b) })
	b.stored()
	b.tear(func() {}) // it goes on waiting
	b.log.Reset()
	b.waitLog("node-3 may have something newer")
	require.False(t, exists(stale.share("doc")))
	newest.startDaemon()
	c.atRest(b, newest)
	c.atRest(b, stale)
	for _, n := range c.nodes {
		c.eventually("the newest is everywhere", func() bool { return n.has("doc", "v2 the newest") })
	}
}

// Somebody follows status' advice, and the board comes back all the same.
func TestOldDiskWhoseOnlyOtherBoardIsTakenOut(t *testing.T) {
	t.Parallel()
	c := startCluster(t, "node-1", "node-2")
	a, b := c.nodes["node-1"], c.nodes["node-2"]
	fill(c, a, b)
	c.exchange(b, a, "doc", "v1")
	c.exchange(b, a, "doc", "v2 the newest")
	c.atRest(a, b)
	a.reconciler()
	a.stopDaemon()
	b.oldDisk(map[string]string{"doc": "v1"})
	b.waitLog("node-1 may have something newer, and is waited for")
	c.takeOut("node-1", b)
	c.eventually("it goes on by itself", b.sends)
	c.publish()
	a.startDaemon()
	a.startReconciler()
	c.atRest(a, b)
	c.eventually("the newest stays", func() bool { return a.has("doc", "v2 the newest") && b.has("doc", "v2 the newest") })
}

// A board that is alone has only what its people's devices have to compare with.
func TestOldDiskOfASingleBoardHearsTheDevices(t *testing.T) {
	t.Parallel()
	c := startCluster(t, "node-1")
	b := c.nodes["node-1"]
	c.eventually("it sends", b.sends)
	laptop := c.startDevice("laptop", b)
	b.put("doc", "v1")
	c.eventually("the laptop has it", func() bool { return laptop.has("doc", "v1") })
	b.put("doc", "v2 the newest")
	c.eventually("the laptop has it", func() bool { return laptop.has("doc", "v2 the newest") && b.completion(laptop.node) == 100 })
	b.oldDisk(map[string]string{"doc": "v1", "found": "on the old disk"})
	c.eventually("it has what the laptop has", func() bool { return b.has("doc", "v2 the newest") })
	c.eventually("and sends again", func() bool { return laptop.has("found", "on the old disk") })
	require.True(t, laptop.has("doc", "v2 the newest"))
}

// outside is somebody's own Syncthing, outside of the cluster.
type outside struct {
	*node
	path string
}

func (d outside) has(name, content string) bool {
	got, err := os.ReadFile(filepath.Join(d.path, name))
	return err == nil && string(got) == content
}

// startDevice starts a Syncthing that has the share, and tells the cluster of it.
func (c *cluster) startDevice(name string, of *node) outside {
	c.t.Helper()
	d := outside{&node{cluster: c, name: name, home: filepath.Join(c.folder, name, "home"), socket: filepath.Join(c.folder, name, "gui.sock")}, filepath.Join(c.folder, name, "photos")}
	require.NoError(c.t, os.MkdirAll(d.home, 0o700))
	daemon := exec.Command(c.binary, "serve", "--home="+d.home, "--no-browser", "--no-restart", "--no-default-folder", "--gui-address=unix://"+d.socket, "--gui-apikey="+c.peers["apiKey"])
	daemon.Env = append(os.Environ(), "STNOUPGRADE=1", "STMONITORED=yes", "HOME="+d.home)
	daemon.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	require.NoError(c.t, daemon.Start())
	c.t.Cleanup(func() {
		_ = syscall.Kill(-daemon.Process.Pid, syscall.SIGKILL)
		_ = daemon.Wait()
	})
	var self struct{ MyID config.DeviceID }
	c.eventually("the device is there", func() bool { return d.tryREST("/rest/system/status", &self) == nil && self.MyID != "" })
	d.id = self.MyID
	d.patch("/rest/config/options", fmt.Sprintf(`{"globalAnnounceEnabled":false,"localAnnounceEnabled":false,"relaysEnabled":false,"natEnabled":false,"reconnectionIntervalS":5,"listenAddresses":["tcp://127.0.7.99:%d"]}`, freePort(c.t)))
	require.NoError(c.t, d.ask(http.MethodPut, "/rest/config/devices/"+string(of.id),
		fmt.Sprintf(`{"deviceID":%q,"name":%q,"addresses":["tcp://%s:%d"]}`, of.id, of.name, c.settings.Nodes[of.name].Address, c.settings.ListenPort), nil))
	require.NoError(c.t, d.ask(http.MethodPut, "/rest/config/folders/home-photos",
		fmt.Sprintf(`{"id":"home-photos","path":%q,"type":"sendreceive","fsWatcherEnabled":true,"fsWatcherDelayS":0.1,"devices":[{"deviceID":%q},{"deviceID":%q}]}`, d.path, d.id, of.id), nil))
	c.settings.Devices[name] = syncthing.DeviceSettings{ID: string(d.id)}
	photos := c.settings.Folders["photos"]
	photos.Devices = append(photos.Devices, name)
	c.settings.Folders["photos"] = photos
	c.publish()
	return d
}
