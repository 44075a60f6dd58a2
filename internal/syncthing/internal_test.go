package syncthing

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestShareSendsAgainOnlyWhenItHasEverything(t *testing.T) {
	idle := FolderStatus{State: "idle"}
	tells := func(sequence int64, a *account) source {
		return source{"node-2", Completion{Sequence: sequence, RemoteState: "valid"}, a}
	}
	full := tells(7, &account{Sequence: 7, Idle: true})
	receives := func(sequence int64) source {
		return tells(sequence, &account{Sequence: 7, Idle: true, Receives: true})
	}
	tests := []struct {
		name      string
		local     FolderStatus
		sources   []source
		silent    bool
		want, met bool
	}{
		{"everything received", idle, []source{full}, false, true, false},
		{"nobody connected", idle, nil, true, false, false},
		{"scanning", FolderStatus{State: "scanning"}, []source{full}, true, false, false},
		{"bytes to come", FolderStatus{State: "idle", NeedBytes: 1}, []source{full}, true, false, false},
		{"only names to come", FolderStatus{State: "idle", NeedTotalItems: 1}, []source{full}, true, false, false},
		{"names that nobody takes", FolderStatus{State: "idle", Errors: 1}, []source{full}, false, true, false},
		{"half an index", idle, []source{tells(6, full.account)}, true, false, false},
		{"the other is scanning", idle, []source{tells(7, &account{Sequence: 7})}, true, false, false},
		{"the other has nothing to tell", idle, []source{tells(0, &account{Idle: true})}, false, true, false},
		{"the other doesn't have the share", idle, []source{{"node-2", Completion{RemoteState: "notSharing"}, full.account}}, true, false, false},
		{"the other gives no account", idle, []source{tells(7, nil)}, false, false, false},
		{"the other gives no account and was silent for long", idle, []source{tells(7, nil)}, true, true, false},
		{"both receive", idle, []source{receives(7)}, true, false, true},
		{"both receive, this one knows half an index", idle, []source{receives(6)}, true, false, false},
		{"both receive, this one isn't done", FolderStatus{State: "idle", NeedBytes: 1}, []source{receives(7)}, true, false, false},
		{"one of two sends", idle, []source{receives(7), full}, false, true, false},
		{"one of two receives and isn't known whole", idle, []source{receives(7), receives(6), receives(7)}, true, false, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, met := isComplete(test.local, test.sources, func(source) bool { return test.silent })
			require.Equal(t, test.want, got)
			require.Equal(t, test.met, met)
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
