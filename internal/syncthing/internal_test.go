package syncthing

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestShareSendsAgainOnlyWhenItHasEverything(t *testing.T) {
	idle := FolderStatus{State: "idle"}
	full := source{"node-1", Completion{Completion: 100, Sequence: 7, RemoteState: "valid"}}
	with := func(change func(*Completion)) source {
		s := full
		change(&s.Completion)
		return s
	}
	tests := []struct {
		name    string
		local   FolderStatus
		sources []source
		silent  bool
		want    bool
	}{
		{"everything received", idle, []source{full}, false, true},
		{"nobody connected", idle, nil, true, false},
		{"scanning", FolderStatus{State: "scanning"}, []source{full}, false, false},
		{"bytes to come", FolderStatus{State: "idle", NeedBytes: 1}, []source{full}, false, false},
		{"only names to come", FolderStatus{State: "idle", NeedTotalItems: 1}, []source{full}, false, false},
		{"files that failed", FolderStatus{State: "idle", Errors: 1}, []source{full}, false, false},
		{"the other receives as well", idle, []source{with(func(c *Completion) { c.Completion = 99 })}, false, false},
		{"the other receives from nobody but us", idle, []source{with(func(c *Completion) { c.Completion = 50 })}, true, true},
		{"the other lacks folders", idle, []source{with(func(c *Completion) { c.NeedItems = 1 })}, false, false},
		{"the other has deletions to do", idle, []source{with(func(c *Completion) { c.NeedDeletes = 1 })}, false, false},
		{"the other doesn't have the share", idle, []source{with(func(c *Completion) { c.RemoteState = "notSharing" })}, true, false},
		{"the other has told nothing yet", idle, []source{with(func(c *Completion) { c.Sequence = 0 })}, false, false},
		{"the other has nothing to tell", idle, []source{with(func(c *Completion) { c.Sequence = 0 })}, true, true},
		{"one of two is enough", idle, []source{with(func(c *Completion) { c.Completion = 1 }), full}, false, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := isComplete(test.local, test.sources, func(source) bool { return test.silent })
			require.Equal(t, test.want, got)
		})
	}
}

func TestMergeKeepsWhatIsNotOurs(t *testing.T) {
	current := object{"id": "x", "paused": true, "order": "random"}
	same, changed := merged(current, object{"id": "x"})
	require.False(t, changed)
	require.Equal(t, current, same)
	other, changed := merged(current, object{"id": "y"})
	require.True(t, changed)
	require.Equal(t, object{"id": "y", "paused": true, "order": "random"}, other)
	require.Equal(t, "x", current["id"], "the original stays")
}

func TestDiscoveryIsOneWord(t *testing.T) {
	for word, want := range map[string][3]bool{ // local, global, relays
		"none": {false, false, false}, "lan": {true, false, false}, "internet": {true, true, true},
	} {
		s := Settings{Discovery: word, ListenPort: 22000, Nodes: map[string]NodeSettings{"n": {Address: "10.0.0.1"}}}
		options := s.optionsObject("n")
		require.Equal(t, want, [3]bool{options["localAnnounceEnabled"].(bool), options["globalAnnounceEnabled"].(bool), options["relaysEnabled"].(bool)}, word)
		require.Equal(t, "tcp://10.0.0.1:22000", options["listenAddresses"].([]any)[0])
	}
}

func TestWhatALinkLeadsToIsNoZeros(t *testing.T) {
	link := filepath.Join(t.TempDir(), "link")
	require.NoError(t, os.Symlink("/dev/zero", link))
	zeros, err := isZeros(link)
	require.NoError(t, err)
	require.False(t, zeros)
}
