package syncthing_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tmorin/homecloud/internal/config"
	"github.com/tmorin/homecloud/internal/syncthing"
)

func TestTwoNodesShareFilesWithoutAnybodysHelp(t *testing.T) {
	t.Parallel()
	c := startCluster(t, "node-1", "node-2")
	a, b := c.nodes["node-1"], c.nodes["node-2"]
	c.eventually("the share's folder is there", func() bool { return exists(a.share(".stfolder")) && exists(b.share(".stfolder")) })
	a.put("from-1", "one")
	c.eventually("node 2 has it", func() bool { return b.has("from-1", "one") })
	b.put("from-2", "two")
	c.eventually("node 1 has it", func() bool { return a.has("from-2", "two") })
	require.NoError(t, os.Remove(a.share("from-2")))
	c.eventually("what a person deletes is deleted", func() bool { return !exists(b.share("from-2")) })
	require.True(t, exists(b.share(".stversions")), "and kept as a version")

	require.Equal(t, "sendreceive", a.folderField("type"))
	require.Equal(t, true, a.folderField("ignorePerms"))
	require.EqualValues(t, -1, a.folderField("maxConflicts"))
	require.Equal(t, map[string]any{"maxAge": "7776000"}, a.folderField("versioning").(map[string]any)["params"])
	var options map[string]any
	a.rest("/rest/config/options", &options)
	for name, want := range map[string]any{
		"globalAnnounceEnabled": false, "localAnnounceEnabled": false, "relaysEnabled": false, "natEnabled": false,
		"crashReportingEnabled": false, "urAccepted": -1.0, "autoUpgradeIntervalH": 0.0, "reconnectionIntervalS": 10.0,
	} {
		require.Equal(t, want, options[name], name)
	}
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

func TestUnchangedSettingsCauseNoChange(t *testing.T) {
	t.Parallel()
	c := startCluster(t, "node-1", "node-2")
	a := c.nodes["node-1"]
	c.eventually("in order", func() bool { return a.folderField("type") == "sendreceive" })
	a.put("file", "x")
	c.eventually("synchronised", func() bool { return c.nodes["node-2"].has("file", "x") })
	a.reconciler()
	a.log.Reset()
	before := readFile(t, filepath.Join(a.home, "config.xml"))
	state := readFile(t, filepath.Join(a.home, "homecloud-state.json"))

	a.startReconciler()
	a.letItLook()
	require.NotContains(t, a.log.String(), "not as wanted")
	require.Zero(t, a.changes.Load(), "requests that change something")
	require.Equal(t, before, readFile(t, filepath.Join(a.home, "config.xml")))
	require.Equal(t, state, readFile(t, filepath.Join(a.home, "homecloud-state.json")))
}

// What is written after Syncthing has scanned a share and before it watches it
// would wait for an hour.
func TestShareIsLookedAtOnceMoreWhenItIsWatched(t *testing.T) {
	t.Parallel()
	c := startCluster(t, "node-1")
	a := c.nodes["node-1"]
	c.eventually("it is looked at again", func() bool { return a.scans.Load() == 1 })
	a.stopDaemon()
	a.startDaemon()
	c.eventually("and when Syncthing has begun anew", func() bool { return a.scans.Load() == 2 })
	a.letItLook()
	require.EqualValues(t, 2, a.scans.Load())
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	return string(content)
}

func TestDevicesComeAndGo(t *testing.T) {
	t.Parallel()
	c := startCluster(t, "node-1", "node-2")
	a := c.nodes["node-1"]
	phone := "MFZWI3D-BONSGYC-YLTMRWG-C43ENR5-QXGZDMM-FZWI3DP-BONSGYY-LTMRWAD"
	c.settings.Devices["alice-phone"] = syncthing.DeviceSettings{ID: phone}
	c.settings.Folders["photos"] = syncthing.FolderSettings{ID: "home-photos", Devices: []string{"alice-phone"}}
	c.publish()
	c.eventually("the phone gets the share", func() bool { return slices.Contains(folderDevices(a), phone) })
	require.Equal(t, []any{"dynamic"}, device(a, phone)["addresses"])
	require.Empty(t, a.folderField("versioning").(map[string]any)["type"], "0 days: no versions")

	delete(c.settings.Devices, "alice-phone")
	c.settings.Folders["photos"] = syncthing.FolderSettings{ID: "home-photos"}
	c.publish()
	c.eventually("the phone is cut off", func() bool { return device(a, phone) == nil })
	require.NotContains(t, folderDevices(a), phone)
	require.Len(t, folderDevices(a), 2)
}

func folderDevices(n *node) (ids []string) {
	devices, _ := n.folderField("devices").([]any)
	for _, d := range devices {
		ids = append(ids, d.(map[string]any)["deviceID"].(string))
	}
	return ids
}

func device(n *node, id string) map[string]any {
	var devices []map[string]any
	n.rest("/rest/config/devices", &devices)
	for _, d := range devices {
		if d["deviceID"] == id {
			return d
		}
	}
	return nil
}

func TestNodeMissingInTheSecretIsNotCutOff(t *testing.T) {
	t.Parallel()
	c := startCluster(t, "node-1", "node-2")
	a, b := c.nodes["node-1"], c.nodes["node-2"]
	c.eventually("both share", func() bool { return len(folderDevices(a)) == 2 })
	require.NoError(t, os.Remove(filepath.Join(c.folder, "peers", "node-2")))
	a.waitLog("has no device ID in the Secret")
	require.NotNil(t, device(a, string(b.id)))
	require.Len(t, folderDevices(a), 2)
}

func TestRemovedShareKeepsItsData(t *testing.T) {
	t.Parallel()
	c := startCluster(t, "node-1")
	a := c.nodes["node-1"]
	c.eventually("the share is there", func() bool { return exists(a.share(".stfolder")) })
	a.put("kept", "x")
	photos := c.settings.Folders["photos"]
	delete(c.settings.Folders, "photos")
	c.publish()
	c.eventually("Syncthing forgets it", func() bool { return len(a.restFolderIDs()) == 0 })
	require.True(t, a.has("kept", "x"))
	c.settings.Folders["photos"] = photos
	c.publish()
	c.eventually("and learns it again", func() bool { return a.folderField("type") == "sendreceive" })
	require.True(t, a.has("kept", "x"))
	leftovers, err := filepath.Glob(a.share(".stfolder.*"))
	require.NoError(t, err)
	require.Empty(t, leftovers)
}

// Both nodes begin with a new index then, and neither has anything that the
// other could receive.
func TestShareTakenOutAndPutBackGoesOn(t *testing.T) {
	t.Parallel()
	c := startCluster(t, "node-1", "node-2")
	a, b := c.nodes["node-1"], c.nodes["node-2"]
	fill(c, a, b)
	photos := c.settings.Folders["photos"]
	delete(c.settings.Folders, "photos")
	c.publish()
	c.eventually("both forget it", func() bool { return len(a.restFolderIDs()) == 0 && len(b.restFolderIDs()) == 0 })
	b.put("meanwhile", "only on node 2")
	c.settings.Folders["photos"] = photos
	c.publish()
	c.eventually("both send again", func() bool {
		return a.folderField("type") == "sendreceive" && b.folderField("type") == "sendreceive"
	})
	a.put("from-1", "one")
	b.put("from-2", "two")
	c.eventually("and go on", func() bool {
		return a.has("from-2", "two") && b.has("from-1", "one") && a.has("meanwhile", "only on node 2")
	})
	requireGood(t, a)
	require.True(t, holdsAll(b))
	require.False(t, anyHas(a, "file-00.sync-conflict", ""))
}

// What the whole package is for: nobody must announce "everything deleted".
// What somebody saves while a share is taken back is the newest, and the toggle
// may be undone at once.
func TestEditWhileAShareIsTakenBackWins(t *testing.T) {
	t.Parallel()
	c := startCluster(t, "node-1", "node-2")
	a, b := c.nodes["node-1"], c.nodes["node-2"]
	fill(c, a, b)
	photos := c.settings.Folders["photos"]
	for range 2 {
		delete(c.settings.Folders, "photos")
		c.publish()
		c.eventually("both forget it", func() bool { return len(a.restFolderIDs()) == 0 && len(b.restFolderIDs()) == 0 })
		c.settings.Folders["photos"] = photos
		c.publish()
		c.eventually("both have it again", func() bool { return len(a.restFolderIDs()) == 1 && len(b.restFolderIDs()) == 1 })
	}
	a.put("file-00", "edited on node 1")
	b.put("new", "on node 2")
	c.eventually("the edit is everywhere", func() bool {
		return a.has("file-00", "edited on node 1") && b.has("file-00", "edited on node 1") && a.has("new", "on node 2")
	})
	c.eventually("both send again", func() bool {
		return a.folderField("type") == "sendreceive" && b.folderField("type") == "sendreceive"
	})
	c.eventually("and are at rest", func() bool { return a.completion(b) == 100 && b.completion(a) == 100 })
	require.True(t, a.has("file-00", "edited on node 1") && b.has("file-00", "edited on node 1"))
}

func TestEmptiedDiskNeverDeletesTheGoodCopy(t *testing.T) {
	t.Parallel()
	c := startCluster(t, "node-1", "node-2")
	a, b := c.nodes["node-1"], c.nodes["node-2"]
	fill(c, a, b)
	b.stopDaemon()
	require.NoError(t, os.RemoveAll(b.disk.In("shares/photos")))
	b.startDaemon()
	b.waitLog("has vanished from the disk")
	b.letItLook()
	require.False(t, exists(b.disk.In("shares/photos")), "nothing is made anew")
	requireGood(t, a)
}

func TestMarkerThatVanishedStopsTheShare(t *testing.T) {
	t.Parallel()
	c := startCluster(t, "node-1", "node-2")
	a, b := c.nodes["node-1"], c.nodes["node-2"]
	fill(c, a, b)
	// Everything in the share, the hidden files as well, while all is running.
	entries, err := os.ReadDir(b.share(""))
	require.NoError(t, err)
	require.NoError(t, os.RemoveAll(b.share(".stfolder")))
	for _, entry := range entries {
		require.NoError(t, os.RemoveAll(b.share(entry.Name())))
	}
	b.waitLog("has vanished from the disk")
	b.letItLook()
	requireGood(t, a)
	require.False(t, exists(b.share(".stfolder")))
}

func TestReplacedDiskReceivesFirstAndSendsAgain(t *testing.T) {
	t.Parallel()
	c := startCluster(t, "node-1", "node-2")
	a, b := c.nodes["node-1"], c.nodes["node-2"]
	fill(c, a, b)
	old := b.folderField("markerName")

	b.replaceDisk(nil)
	c.eventually("everything comes back from node 1", func() bool { return holdsAll(b) })
	b.waitLog("sends again")
	c.eventually("it is a full member", func() bool { return b.folderField("type") == "sendreceive" })
	require.NotEqual(t, old, b.folderField("markerName"))
	requireGood(t, a)
	b.put("new", "from the new disk")
	c.eventually("and sends", func() bool { return a.has("new", "from the new disk") })
}

// A disk that lay in a drawer: some files are old, some are gone from the
// cluster since, some are only on it. Syncthing itself starts on it at once.
func TestFileThatCantBeFetchedKeepsNothingFromBeingSent(t *testing.T) {
	t.Parallel()
	c := startCluster(t, "node-1", "node-2")
	a, b := c.nodes["node-1"], c.nodes["node-2"]
	fill(c, a, b)
	require.NoError(t, os.Mkdir(a.share("locked"), 0o770))
	a.put("locked/inner", "can't be written on node 2")
	b.replaceDisk(func() {
		require.NoError(t, os.MkdirAll(b.share("locked"), 0o770))
		b.disk.Immutable(b.share("locked"))
		b.put("only here", "precious")
	})
	b.waitLog("goes on without them")
	c.eventually("what only node 2 has is sent", func() bool { return a.has("only here", "precious") })
	require.True(t, a.has("locked/inner", "can't be written on node 2") && holdsAll(a))
	c.eventually("the rest has come", func() bool { return holdsAll(b) })
}

func TestDiskWithOtherContentLosesAndDeletesNothing(t *testing.T) {
	t.Parallel()
	c := startCluster(t, "node-1", "node-2")
	a, b := c.nodes["node-1"], c.nodes["node-2"]
	fill(c, a, b)
	// Nobody but node 2 ever wrote this one: its word would count alone.
	b.put("own", "the newer version")
	c.eventually("node 1 has it", func() bool { return a.has("own", "the newer version") })

	b.replaceDisk(func() {
		require.NoError(t, os.MkdirAll(b.share(".stfolder"), 0o770))
		b.put("own", "the older version")
		b.put("file-01", "content of file-01") // the same
		b.put("file-02", "an older version")
		old := time.Now().Add(-24 * time.Hour)
		require.NoError(t, os.Chtimes(b.share("file-02"), old, old))
		b.put("only-here", "precious")
	})
	c.eventually("everything comes from node 1", func() bool { return holdsAll(b) })
	b.waitLog("sends again")
	c.eventually("what was only on the disk goes to node 1", func() bool { return a.has("only-here", "precious") })
	requireGood(t, a)
	c.eventually("what differed comes from node 1", func() bool { return holdsAll(b) && b.has("own", "the newer version") })
	c.eventually("and stays beside it", func() bool {
		return anyHas(b, "file-02.sync-conflict-", "an older version") && anyHas(b, "own.sync-conflict-", "the older version")
	})
	require.True(t, a.has("own", "the newer version") && b.has("own", "the newer version"))
	require.False(t, anyHas(b, "file-01.sync-conflict-", ""), "the same content is no conflict")
}

// Syncthing must not believe another disk even before the reconciler has
// looked: that is what the marker's name is for.
func TestSyncthingAloneDoesNotBelieveAnotherDisk(t *testing.T) {
	t.Parallel()
	c := startCluster(t, "node-1", "node-2")
	a, b := c.nodes["node-1"], c.nodes["node-2"]
	fill(c, a, b)
	b.reconciler()
	b.stopDaemon()
	b.freshDisk()
	require.NoError(t, os.MkdirAll(b.share(".stfolder"), 0o770))
	b.startDaemon()
	c.eventually("Syncthing stops the folder", func() bool {
		var status syncthing.FolderStatus
		return b.tryREST("/rest/db/status?folder=home-photos", &status) == nil && status.State == "error"
	})
	c.eventually("the nodes are connected", func() bool { return connected(a, b) })
	a.put("ping", "to be sure that node 2's index was exchanged")
	c.eventually("node 1 goes on", func() bool { return a.has("ping", "to be sure that node 2's index was exchanged") })
	requireGood(t, a)
}

func TestSingleNodeWithAReplacedDiskWaitsForNobody(t *testing.T) {
	t.Parallel()
	c := startCluster(t, "node-1")
	a := c.nodes["node-1"]
	c.eventually("the share is there", func() bool { return exists(a.share(".stfolder")) })
	a.put("file", "x")
	before := a.folderField("markerName")
	a.replaceDisk(nil)
	c.eventually("the share is there again", func() bool {
		return a.folderField("type") == "sendreceive" && a.folderField("markerName") != before
	})
}

func TestReplacedDiskWaitsForAnotherNode(t *testing.T) {
	t.Parallel()
	c := startCluster(t, "node-1", "node-2")
	a, b := c.nodes["node-1"], c.nodes["node-2"]
	fill(c, a, b)
	a.stopDaemon()
	b.replaceDisk(nil)
	c.eventually("it only receives", func() bool { return b.folderField("type") == "receiveonly" })
	b.letItLook()
	require.Equal(t, "receiveonly", b.folderField("type"), "there is nobody to receive from")
	a.startDaemon()
	c.eventually("then it receives", func() bool { return holdsAll(b) })
	c.eventually("and sends again", func() bool { return b.folderField("type") == "sendreceive" })
	requireGood(t, a)
}

func TestLostMemoryIsAnUnknownDisk(t *testing.T) {
	t.Parallel()
	c := startCluster(t, "node-1", "node-2")
	a, b := c.nodes["node-1"], c.nodes["node-2"]
	fill(c, a, b)
	b.reconciler()
	require.NoError(t, os.Remove(filepath.Join(b.home, "homecloud-state.json")))
	b.log.Reset()
	b.startReconciler()
	b.waitLog("sends again")
	requireGood(t, a)
	require.True(t, holdsAll(b))
}

func TestWrongDaemonIsLeftAlone(t *testing.T) {
	t.Parallel()
	c := startCluster(t, "node-1", "node-2")
	a := c.nodes["node-1"]
	c.eventually("in order", func() bool { return len(folderDevices(a)) == 2 })
	c.peers["node-1"] = "MFZWI3D-BONSGYC-YLTMRWG-C43ENR5-QXGZDMM-FZWI3DP-BONSGYY-LTMRWAD"
	c.settings.Folders["more"] = syncthing.FolderSettings{ID: "home-more"}
	c.publish()
	a.waitLog("nothing is changed")
	require.Len(t, folderDevices(a), 2)
	require.Equal(t, []string{"home-photos"}, a.restFolderIDs())
}

func TestNoFolderIsMadeWithoutADisk(t *testing.T) {
	t.Parallel()
	c := newCluster(t, "node-1")
	a := c.nodes["node-1"]
	a.disk.Unmount()
	a.start()
	a.waitLog("nothing is mounted there")
	a.letItLook()
	entries, err := os.ReadDir(a.disk.Path())
	require.NoError(t, err)
	require.Empty(t, entries)
	require.Empty(t, a.restFolderIDs())
	a.disk.Mount()
	c.eventually("with it, it is", func() bool { return a.folderField("type") == "sendreceive" })
}

// fill makes twenty files on both nodes.
func fill(c *cluster, a, b *node) {
	c.t.Helper()
	c.eventually("the share's folder is there", func() bool { return exists(a.share(".stfolder")) && exists(b.share(".stfolder")) })
	for _, name := range fileNames() {
		a.put(name, "content of "+name)
	}
	c.eventually("both have all files", func() bool { return holdsAll(b) })
	c.eventually("and know it of each other", func() bool {
		var completion struct{ Completion float64 }
		return a.tryREST("/rest/db/completion?folder=home-photos&device="+string(b.id), &completion) == nil && completion.Completion == 100
	})
}

func fileNames() (names []string) {
	for i := range 20 {
		names = append(names, "file-"+string(rune('0'+i/10))+string(rune('0'+i%10)))
	}
	return names
}

func holdsAll(n *node) bool {
	return !slices.ContainsFunc(fileNames(), func(name string) bool { return !n.has(name, "content of "+name) })
}

// requireGood checks that a node holds everything and was told of no
// deletion.
func requireGood(t *testing.T, n *node) {
	t.Helper()
	require.True(t, holdsAll(n), "the good copy")
	require.Zero(t, n.deletions(), "a deletion was announced")
	require.False(t, exists(n.share(".stversions")), "something was deleted or replaced")
}

func anyHas(n *node, prefix, content string) bool {
	entries, err := os.ReadDir(n.share(""))
	require.NoError(n.t, err)
	for _, entry := range entries {
		if strings.HasPrefix(entry.Name(), prefix) && (content == "" || n.has(entry.Name(), content)) {
			return true
		}
	}
	return false
}

func connected(a, b *node) bool {
	var answer struct {
		Connections map[config.DeviceID]struct{ Connected bool }
	}
	return a.tryREST("/rest/system/connections", &answer) == nil && answer.Connections[b.id].Connected
}

// freshDisk puts another adopted disk in the place of this node's.
func (n *node) freshDisk() {
	n.t.Helper()
	n.disk.Unmount()
	n.disk.Format()
	n.disk.Mount()
	n.disk.Adopt()
}

// replaceDisk does what a person and the gate do: Syncthing ends with the old
// disk and starts with the new one. content puts something on the new disk.
func (n *node) replaceDisk(content func()) {
	n.t.Helper()
	n.stopDaemon()
	n.freshDisk()
	if content != nil {
		content()
	}
	n.startDaemon()
}

// letItLook waits until the reconciler had the time for some twenty looks.
func (n *node) letItLook() {
	n.t.Helper()
	deadline := time.Now().Add(2 * time.Second)
	n.eventually("time passes", func() bool { return time.Now().After(deadline) })
}

// Syncthing takes every name that begins like those of its own unfinished files
// for one of them, and would remove an old one at its next look.
func TestNamesThatSyncthingTakesForItsOwnStay(t *testing.T) {
	t.Parallel()
	c := startCluster(t, "node-1", "node-2")
	a, b := c.nodes["node-1"], c.nodes["node-2"]
	c.atRest(a, b)
	old := time.Now().AddDate(-30, 0, 0)
	require.NoError(t, os.Mkdir(a.share("2019"), 0o770))
	names := []string{".syncthing.conf", "~syncthing~holiday.jpg", "2019/.syncthing.holiday.jpg.tmp"}
	for _, name := range names {
		a.put(name, "a person's "+name)
		require.NoError(t, os.Chtimes(a.share(name), old, old))
	}
	a.put("2019/after", "written last")
	require.NoError(t, a.tryPost("/rest/db/scan?folder=home-photos"))
	c.eventually("what is beside them arrives", func() bool { return b.has("2019/after", "written last") })
	for _, name := range names {
		require.True(t, a.has(name, "a person's "+name), name)
	}
}
