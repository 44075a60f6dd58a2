package syncthing_test

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tmorin/homecloud/internal/syncthing"
)

func (n *node) renew() {
	n.t.Helper()
	require.NoError(n.t, syncthing.Renew(n.home, "photos", slog.New(slog.DiscardHandler)))
}

// Whoever may write to a share over NFS may also remove its marker.
func TestShareThatLostItsMarkerGoesOnWhenRenewed(t *testing.T) {
	t.Parallel()
	c := startCluster(t, "node-1", "node-2")
	a, b := c.nodes["node-1"], c.nodes["node-2"]
	fill(c, a, b)
	require.NoError(t, os.RemoveAll(b.share(".stfolder")))
	b.waitLog("homecloud-agent syncthing renew photos")
	require.NoError(t, os.Remove(b.share("file-00")))
	b.put("meanwhile", "on node 2 alone")
	b.renew()
	c.atRest(a, b)
	c.eventually("both have everything", func() bool {
		return holdsAll(a) && holdsAll(b) && a.has("meanwhile", "on node 2 alone")
	})
	c.exchange(b, a, "afterwards", "from node 2")
	c.exchange(a, b, "afterwards", "and back")
}

// Also when nothing is left of it: what the others have comes, nothing is deleted.
func TestEmptiedShareIsFilledAgainWhenRenewed(t *testing.T) {
	t.Parallel()
	for name, what := range map[string]func(b *node) string{
		"marker and files": func(b *node) string { return b.share("*") },
		"the folder":       func(b *node) string { return b.disk.In("shares/photos") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := startCluster(t, "node-1", "node-2")
			a, b := c.nodes["node-1"], c.nodes["node-2"]
			fill(c, a, b)
			require.NoError(t, os.RemoveAll(b.share(".stfolder")))
			paths, err := filepath.Glob(what(b))
			require.NoError(t, err)
			for _, path := range paths {
				require.NoError(t, os.RemoveAll(path))
			}
			b.waitLog("has vanished from the disk")
			b.renew()
			c.atRest(a, b)
			c.eventually("everything is back", func() bool { return holdsAll(b) })
			requireGood(t, a)
		})
	}
}

func TestOnlyKnownSharesAreRenewed(t *testing.T) {
	home := t.TempDir()
	log := slog.New(slog.DiscardHandler)
	require.ErrorContains(t, syncthing.Renew(filepath.Join(home, "nowhere"), "photos", log), "nowhere")
	require.ErrorContains(t, syncthing.Renew(home, "photos", log), `no share "photos" is known`)
	state := `{"version":1,"session":{},"shares":{"photos":{"generation":"` + "0123" + `"},"music":{"generation":"0123"}}}`
	write(t, filepath.Join(home, "homecloud-state.json"), state)
	require.ErrorContains(t, syncthing.Renew(home, "foto", log), `no share "foto" is known here: write one of music, photos`)
	content, err := os.ReadFile(filepath.Join(home, "homecloud-state.json"))
	require.NoError(t, err)
	require.Equal(t, state, string(content), "a refusal changes nothing")
	require.NoError(t, syncthing.Renew(home, "photos", log))
	content, err = os.ReadFile(filepath.Join(home, "homecloud-state.json"))
	require.NoError(t, err)
	require.Contains(t, string(content), `"music": {
      "generation": "0123"`)
	require.Contains(t, string(content), `"photos": {
      "generation": ""`)
}
