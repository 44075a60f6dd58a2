package syncthing

import (
	"encoding/json"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

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

// What a node had when the share last received, or before it was settled, is no
// measure of what it has: half an index would do.
func TestReceptionIsForgottenWithTheStateOfTheShare(t *testing.T) {
	r := &Reconciler{receptions: map[string]*reception{}}
	receiving := shareState{Generation: "g", Receiving: true, Since: now()}
	owed := func(state shareState, sequence int64) int64 {
		return r.reception("photos", state).owes("node-2", account{Sequence: sequence, Idle: true}).Sequence
	}
	require.EqualValues(t, 7, owed(receiving, 7))
	require.EqualValues(t, 7, owed(receiving, 9), "somebody who goes on writing is never known to the last change")
	require.EqualValues(t, 3, owed(receiving, 3), "its index is a new one")
	require.EqualValues(t, 9, r.reception("music", receiving).owes("node-2", account{Sequence: 9, Idle: true}).Sequence)

	require.EqualValues(t, 1, r.reception("photos", receiving).owes("node-2", account{Sequence: 1}).Sequence, "it is scanning")
	require.EqualValues(t, 3, owed(receiving, 9), "what it had in the middle of a scan is no measure")

	again := receiving
	again.Since = again.Since.Add(time.Nanosecond)
	require.EqualValues(t, 9, owed(again, 9), "it begins to receive once more")
	settling := again
	settling.Receiving, settling.Settling = false, true
	require.EqualValues(t, 11, owed(settling, 11))
	require.EqualValues(t, 13, owed(again, 13), "it was settled in between")

	stored := state{Version: 1, Shares: map[string]shareState{"photos": again}}
	home := t.TempDir()
	require.NoError(t, stored.save(home))
	loaded, err := loadState(home)
	require.NoError(t, err)
	require.EqualValues(t, 13, owed(loaded.Shares["photos"], 15), "a state is the same when it is read again")
}

func TestClockThatWasSetBack(t *testing.T) {
	start := time.Now()
	p := &pass{Reconciler: &Reconciler{started: start, looked: map[string]time.Time{}, firstScan: map[string]time.Time{}}}
	yesterday := start.Add(-24 * time.Hour)
	require.False(t, p.isScanned("photos", yesterday), "the scan of the last run")
	require.False(t, p.isScanned("photos", yesterday))
	require.True(t, p.isScanned("photos", yesterday.Add(time.Minute)), "another one, by a clock that was set back")
	require.True(t, p.isScanned("music", start.Add(time.Second)))
}

// Syncthing closes a connection when a pause begins; one that comes into being
// in that moment stays.
func TestPausedDeviceThatStaysConnected(t *testing.T) {
	const phone = "AAAAAAA"
	connected, puts := true, []any{}
	socket := filepath.Join(t.TempDir(), "s")
	listener, err := net.Listen("unix", socket)
	require.NoError(t, err)
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPut {
			var device object
			_ = json.NewDecoder(r.Body).Decode(&device)
			puts = append(puts, device["paused"])
			connected = device["paused"] != true
			return
		}
		_ = json.NewEncoder(w).Encode(object{"connections": object{phone: object{"connected": connected}}})
	})}
	go func() { _ = server.Serve(listener) }()
	defer server.Close()
	client := NewClient(socket, "key")
	defer client.Close()
	p := &pass{
		Reconciler: &Reconciler{Log: slog.New(slog.DiscardHandler), Silence: time.Minute}, client: client,
		has: running{Devices: []object{{"deviceID": phone, "paused": true}}},
	}
	alone := func() bool {
		is, err := p.isAlone(t.Context())
		require.NoError(t, err)
		return is
	}
	require.False(t, alone())
	require.False(t, alone())
	require.Empty(t, puts, "a connection has time to go")
	p.clinging = p.clinging.Add(-2 * p.Silence)
	require.False(t, alone())
	require.Equal(t, []any{false, true}, puts, "it is paused anew")
	require.True(t, alone())
}
