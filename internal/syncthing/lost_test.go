package syncthing_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// patch changes something in this node's Syncthing.
func (n *node) patch(path, body string) {
	n.t.Helper()
	require.NoError(n.t, n.ask(http.MethodPatch, path, body, nil))
}

func (n *node) sends() bool {
	return n.folderField("type") == "sendreceive" && n.folderField("paused") == false
}

func (c *cluster) atRest(a, b *node) {
	c.t.Helper()
	c.eventually("both send and are at rest", func() bool {
		return a.sends() && b.sends() && connected(a, b) && a.completion(b) == 100 && b.completion(a) == 100
	})
}

// An index comes in portions over a slow line: what was told so far seems to be
// all.
func TestHalfAnIndexIsNotBelieved(t *testing.T) {
	t.Parallel()
	c := startClusterOn(t, "xfs", "node-1", "node-2")
	a, b := c.nodes["node-1"], c.nodes["node-2"]
	c.eventually("both send", func() bool { return a.sends() && b.sends() })
	b.replaceDisk(nil) // it has received before, when there was less
	c.atRest(a, b)
	// More than Syncthing sends at once, however slow the line: long names that don't compress.
	const many = 3000
	name := func(i int) string {
		source := rand.NewChaCha8(sha256.Sum256([]byte{byte(i), byte(i >> 8)}))
		random := make([]byte, 170)
		_, _ = source.Read(random)
		return base64.RawURLEncoding.EncodeToString(random)
	}
	for i := range many {
		a.put(name(i), fmt.Sprint("photo ", i))
	}
	c.eventually("both have the photos", func() bool { return b.localFiles() >= many && a.completion(b) == 100 })
	c.exchange(b, a, "doc", "v1")
	c.exchange(b, a, "doc", "v2 the newest")
	a.patch("/rest/config/options", `{"limitBandwidthInLan":true,"maxSendKbps":40}`)
	lastYear := time.Now().AddDate(-1, 0, 0)
	b.replaceDisk(func() {
		require.NoError(t, os.MkdirAll(b.share(""), 0o770))
		for i := range many {
			b.put(name(i), fmt.Sprint("photo ", i))
		}
		b.put("doc", "v1")
		require.NoError(t, os.Chtimes(b.share("doc"), lastYear, lastYear))
	})
	told := func() int64 {
		var answer struct{ Sequence int64 }
		_ = b.tryREST("/rest/db/completion?folder=home-photos&device="+string(a.id), &answer)
		return answer.Sequence
	}
	c.eventually("it has half an index", func() bool { // before, it has the one from before
		return b.folderField("type") == "receiveonly" && told() > 0 && told() < many
	})
	early := false
	c.eventually("it has the whole index", func() bool {
		sends := b.folderField("type") == "sendreceive"
		whole := told() >= many
		early = early || sends && !whole
		return whole || early
	})
	require.False(t, early, "half an index was taken for a whole one")
	a.patch("/rest/config/options", `{"limitBandwidthInLan":false,"maxSendKbps":0}`)
	c.atRest(a, b)
	c.eventually("the newest stays", func() bool { return a.has("doc", "v2 the newest") && b.has("doc", "v2 the newest") })
}

// Names that Syncthing doesn't take are no reason to wait: they will never be
// sent.
func TestNameThatNobodyTakesKeepsNothingFromBeingSent(t *testing.T) {
	t.Parallel()
	c := startCluster(t, "node-1", "node-2")
	a, b := c.nodes["node-1"], c.nodes["node-2"]
	fill(c, a, b)
	a.put("bad\xff\xfename", "on node 1")
	b.put("bad\xff\xfename", "on node 2")
	b.replaceDisk(func() {})
	c.atRest(a, b)
	c.eventually("the new disk has everything", func() bool { return holdsAll(b) })
	a.waitLog("stay on this node alone: they can't be read, or other devices don't take their names; the first is")
}

// Where both only receive, none is believed to be the whole: an emptied board
// beside a board that was swapped.
func TestBothReceive(t *testing.T) {
	t.Parallel()
	c := startCluster(t, "node-1", "node-2")
	a, b := c.nodes["node-1"], c.nodes["node-2"]
	fill(c, a, b)
	b.stopDaemon()
	a.replaceDisk(func() {
		require.NoError(t, os.MkdirAll(a.share(""), 0o770))
		for _, name := range fileNames() {
			a.put(name, "content of "+name)
		}
	})
	b.freshDisk()
	b.startDaemon()
	c.atRest(a, b)
	c.eventually("the emptied board has everything", func() bool { return holdsAll(a) && holdsAll(b) })
}

// Somebody finds a name free because the disk lost its file, and takes it.
func TestNameOfALostFileThatIsTakenAgain(t *testing.T) {
	t.Parallel()
	c := startCluster(t, "node-1", "node-2")
	c.keepVersions(0)
	a, b := c.nodes["node-1"], c.nodes["node-2"]
	fill(c, a, b)
	b.stored()
	rollBack := b.disk.Remember()
	c.exchange(b, a, "scan0001.pdf", "the contract")
	b.pull(rollBack)
	b.reconciler()
	b.plugIn()
	require.False(t, exists(b.share("scan0001.pdf")))
	b.put("scan0001.pdf", "an invoice")
	b.startReconciler()
	c.atRest(a, b)
	c.eventually("both are on both, whichever has the name", func() bool {
		return anyHas(a, "scan0001", "an invoice") && anyHas(b, "scan0001", "an invoice") &&
			anyHas(a, "scan0001", "the contract") && anyHas(b, "scan0001", "the contract")
	})
	require.True(t, exists(a.share("scan0001.pdf")) && exists(b.share("scan0001.pdf")))
}

// The plain power cut of a house: both boards lose the same edit.
func TestBothLoseTheSameEdit(t *testing.T) {
	t.Parallel()
	c := startCluster(t, "node-1", "node-2")
	a, b := c.nodes["node-1"], c.nodes["node-2"]
	fill(c, a, b)
	c.exchange(b, a, "doc", "v1")
	a.stored()
	b.stored()
	ofA, ofB := a.disk.Remember(), b.disk.Remember()
	c.exchange(b, a, "doc", "v2 that nobody has any more")
	a.pull(ofA)
	b.pull(ofB)
	a.plugIn()
	b.plugIn()
	c.atRest(a, b)
	c.eventually("what both have keeps its name", func() bool { return a.has("doc", "v1") && b.has("doc", "v1") })
}

// takeOut makes a node believe that another one isn't in the cluster file any
// more, until that is published again.
func (c *cluster) takeOut(name string, from *node) {
	c.t.Helper()
	settings := c.settings
	settings.DataRoot, settings.Nodes = from.disk.Root, maps.Clone(c.settings.Nodes)
	delete(settings.Nodes, name)
	encoded, err := json.Marshal(settings)
	require.NoError(c.t, err)
	replace(c.t, from.settingsFile(), string(encoded))
}

// The only other board is taken out of the cluster file while one is torn, and
// comes back later.
func TestOtherBoardIsTakenOutWhileOneIsTorn(t *testing.T) {
	t.Parallel()
	c := startCluster(t, "node-1", "node-2")
	a, b := c.nodes["node-1"], c.nodes["node-2"]
	fill(c, a, b)
	c.exchange(b, a, "doc", "v1")
	b.stored()
	rollBack := b.disk.Remember()
	c.exchange(b, a, "doc", "v2 the newest")
	a.reconciler()
	a.stopDaemon()
	b.pull(rollBack)
	b.reconciler()
	c.takeOut("node-1", b)
	b.plugIn()
	b.startReconciler()
	c.eventually("it goes on by itself", b.sends)
	b.stored()
	b.tear(func() {}) // once more: it still hasn't been compared
	b.log.Reset()
	b.waitLog("the share sends again")
	c.publish()
	a.startDaemon()
	a.startReconciler()
	c.atRest(a, b)
	c.eventually("the newest stays", func() bool { return a.has("doc", "v2 the newest") && b.has("doc", "v2 the newest") })
	c.eventually("the other stays beside it", func() bool { return anyHas(b, "doc.sync-conflict", "v1") })
}

// An old disk comes while its board is alone in the cluster file: it is compared
// when it isn't any more.
func TestOldDiskWhileTheOtherBoardIsTakenOut(t *testing.T) {
	t.Parallel()
	c := startCluster(t, "node-1", "node-2")
	c.keepVersions(0)
	a, b := c.nodes["node-1"], c.nodes["node-2"]
	fill(c, a, b)
	c.exchange(b, a, "doc", "v1")
	c.exchange(b, a, "doc", "v2 the newest")
	c.atRest(a, b)
	a.reconciler()
	a.stopDaemon()
	c.takeOut("node-1", b)
	c.eventually("it is alone", func() bool { return len(folderDevices(b)) == 1 })
	b.oldDisk(map[string]string{"doc": "v1"})
	c.eventually("it goes on by itself", func() bool { return b.sends() && b.localFiles() == 1 })
	c.publish()
	a.startDaemon()
	a.startReconciler()
	c.atRest(a, b)
	c.eventually("the newest stays", func() bool { return a.has("doc", "v2 the newest") && b.has("doc", "v2 the newest") })
}

// A board whose identity isn't told yet is another board all the same.
func TestBoardWithoutAnIdentityIsWaitedFor(t *testing.T) {
	t.Parallel()
	c := startCluster(t, "node-1", "node-2", "node-3")
	a, b, newest := c.nodes["node-1"], c.nodes["node-2"], c.nodes["node-3"]
	fill(c, a, b)
	c.eventually("the third has all", func() bool { return holdsAll(newest) })
	newest.reconciler()
	newest.stopDaemon()
	b.oldDisk(map[string]string{"doc": "v1"})
	b.waitLog("node-3 may have something newer, and is waited for")
	nodes := maps.Clone(c.settings.Nodes)
	nodes["cellar"] = nodes["node-3"] // the board's new name; its Secret follows later
	delete(nodes, "node-3")
	c.settings.Nodes = nodes
	delete(c.nodes, "node-3")
	c.publish()
	b.waitLog("cellar may have something newer, and is waited for")
	require.False(t, b.sends())
}

// Syncthing's index is lost with the power, and so is what the disk hadn't
// stored.
func TestIndexIsLost(t *testing.T) {
	t.Parallel()
	c := startCluster(t, "node-1", "node-2")
	a, b := c.nodes["node-1"], c.nodes["node-2"]
	fill(c, a, b)
	c.exchange(b, a, "doc", "v1")
	b.stored()
	rollBack := b.disk.Remember()
	c.exchange(b, a, "doc", "v2 the newest")
	b.pull(rollBack)
	index, err := filepath.Glob(filepath.Join(b.home, "index-*"))
	require.NoError(t, err)
	require.NotEmpty(t, index)
	for _, path := range index {
		require.NoError(t, os.RemoveAll(path))
	}
	b.plugIn()
	c.atRest(a, b)
	c.eventually("the newest stays", func() bool { return a.has("doc", "v2 the newest") && b.has("doc", "v2 the newest") })
	require.True(t, holdsAll(b))
}

// What is remembered of the disk is lost with the power, and so is what the disk
// hadn't stored; the index is still there.
func TestMemoryIsLost(t *testing.T) {
	t.Parallel()
	c := startCluster(t, "node-1", "node-2")
	a, b := c.nodes["node-1"], c.nodes["node-2"]
	fill(c, a, b)
	c.exchange(b, a, "doc", "v1")
	b.stored()
	rollBack := b.disk.Remember()
	c.exchange(b, a, "doc", "v2 the newest")
	b.pull(rollBack)
	require.NoError(t, os.Remove(filepath.Join(b.home, "homecloud-state.json")))
	b.reconciler()
	b.plugIn()
	c.eventually("it is there", func() bool { return b.folderField("type") != nil })
	require.Equal(t, "receiveonly", b.folderField("type"), "until somebody has looked at it, it says nothing")
	b.startReconciler()
	c.atRest(a, b)
	c.eventually("the newest stays", func() bool { return a.has("doc", "v2 the newest") && b.has("doc", "v2 the newest") })
	require.True(t, holdsAll(b))
}

// An error of Syncthing in the middle of settling is no end of it.
func TestErrorWhileADiskIsSettled(t *testing.T) {
	t.Parallel()
	c := startCluster(t, "node-1", "node-2")
	a, b := c.nodes["node-1"], c.nodes["node-2"]
	fill(c, a, b)
	c.exchange(b, a, "doc", "v1")
	b.stored()
	rollBack := b.disk.Remember()
	c.exchange(b, a, "doc", "v2")
	b.pull(rollBack)
	b.disk.Mount()
	marker := b.folderMarker()
	var happened atomic.Bool
	b.around.Store(func(r *http.Request) func() {
		if r.URL.Path != "/rest/db/scan" || !strings.Contains(r.URL.RawQuery, "sub=") || happened.Swap(true) {
			return func() {}
		}
		_ = os.Rename(marker, marker+".away")
		return func() { _ = os.Rename(marker+".away", marker) }
	})
	b.startDaemon()
	c.atRest(a, b)
	require.True(t, happened.Load())
	c.eventually("the newest is everywhere", func() bool { return a.has("doc", "v2") && b.has("doc", "v2") })
}
