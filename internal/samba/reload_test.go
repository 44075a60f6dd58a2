package samba

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const configuration = `[global]
  workgroup = HOME
  guest ok = yes

[photos]
  valid users = alice bob carol
  write list = alice carol
[roms]
  guest ok = yes
  write list = bob
`

// status has everybody at everything.
const status = `{"sessions": {"1": {"username": "alice"}, "2": {"username": "bob"}, "3": {"username": "dave"}, "4": {"username": "nobody"}},
"tcons": {
  "a": {"service": "IPC$", "session_id": "3", "server_id": {"pid": "13"}},
  "b": {"service": "photos", "session_id": "1", "server_id": {"pid": "11"}},
  "c": {"service": "photos", "session_id": "2", "server_id": {"pid": "12"}},
  "d": {"service": "photos", "session_id": "3", "server_id": {"pid": "13"}},
  "e": {"service": "gone", "session_id": "1", "server_id": {"pid": "11"}},
  "f": {"service": "roms", "session_id": "4", "server_id": {"pid": "14"}}}}`

func TestOnlyWhoMayDoLessIsCutOff(t *testing.T) {
	tests := []struct {
		name, before string
		want         []string
	}{
		{"before unknown: readers may have been writers", "", []string{"12 photos", "13 photos", "11 gone", "14 roms"}},
		{"a person and a share went", "[gone]\nguest ok = yes\n[photos]\nvalid users = bob dave\n[roms]\nguest ok = yes\n", []string{"13 photos", "11 gone"}},
		{"a writer became a reader", "[gone]\n[photos]\nvalid users = bob\nwrite list = alice bob\n[roms]\nguest ok = yes\n", []string{"12 photos", "13 photos", "11 gone"}},
		{"others came", "[photos]\nvalid users = bob\n[roms]\nguest ok = yes\n", []string{"13 photos", "11 gone"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r, ran := reloading(t, status)
			if test.before != "" {
				require.NoError(t, os.WriteFile(r.Applied, []byte(test.before), 0o600))
			}
			require.NoError(t, r.Reload())
			var cut []string
			for _, command := range *ran {
				if rest, found := strings.CutPrefix(command, "smbcontrol "); found && strings.Contains(rest, "close-share") {
					cut = append(cut, strings.Replace(rest, " close-share", "", 1))
				}
			}
			require.Equal(t, test.want, cut)
			require.Equal(t, "smbcontrol all reload-config", (*ran)[0])
			applied, err := os.ReadFile(r.Applied)
			require.NoError(t, err)
			require.Equal(t, configuration, string(applied))
		})
	}
}

// The account may be gone before the configuration is read again: Samba then
// knows a number only.
func TestWhoseAccountIsGoneIsCutOff(t *testing.T) {
	r, ran := reloading(t, `{"sessions": {"1": {"username": "1234567"}, "2": {"username": "nobody"}},
"tcons": {"a": {"service": "photos", "session_id": "1", "server_id": {"pid": "7"}}, "b": {"service": "roms", "session_id": "1", "server_id": {"pid": "8"}},
  "c": {"service": "roms", "session_id": "2", "server_id": {"pid": "9"}}}}`)
	require.NoError(t, os.WriteFile(r.Applied, []byte("[photos]\nvalid users = carol\n[roms]\nguest ok = yes\nwrite list = carol\n"), 0o600))
	require.NoError(t, r.Reload())
	require.Contains(t, *ran, "smbcontrol 7 close-share photos")
	require.Contains(t, *ran, "smbcontrol 8 close-share roms", "a guest may only read it")
	require.NotContains(t, *ran, "smbcontrol 9 close-share roms")
}

func TestWhatWasAppliedBeforeSmbdBeganCountsNoMore(t *testing.T) {
	r, ran := reloading(t, `{"sessions": {"1": {"username": "bob"}}, "tcons": {"a": {"service": "photos", "session_id": "1", "server_id": {"pid": "7"}}}}`)
	require.NoError(t, os.WriteFile(r.Applied, []byte("[photos]\nvalid users = bob\n"), 0o600))
	long := time.Now().Add(-time.Hour)
	require.NoError(t, os.Chtimes(r.Applied, long, long))
	require.NoError(t, r.Reload())
	require.Contains(t, *ran, "smbcontrol 7 close-share photos")
}

func TestReloadThatFailsSaysSo(t *testing.T) {
	r, _ := reloading(t, "text")
	require.ErrorContains(t, r.Reload(), "smbstatus")
	refused := errors.New("no smbd")
	r.Run = func(string, ...string) ([]byte, error) { return nil, refused }
	require.ErrorIs(t, r.Reload(), refused)
	require.NoError(t, os.Remove(r.PIDFile))
	require.ErrorContains(t, r.Reload(), "smbd hasn't begun")
	require.NoError(t, os.Remove(r.Configuration))
	require.ErrorIs(t, r.Reload(), os.ErrNotExist)
}

// reloading is an smbd that answers with a status, and what was run.
func reloading(t *testing.T, status string) (Reloading, *[]string) {
	t.Helper()
	folder := t.TempDir()
	r := Reloading{Configuration: filepath.Join(folder, "smb.conf"), Applied: filepath.Join(folder, "applied"), PIDFile: filepath.Join(folder, "pid")}
	require.NoError(t, os.WriteFile(r.Configuration, []byte(configuration), 0o600))
	require.NoError(t, os.WriteFile(r.PIDFile, nil, 0o600))
	var ran []string
	r.Run = func(program string, arguments ...string) ([]byte, error) {
		require.Equal(t, "--configfile="+r.Configuration, arguments[0])
		ran = append(ran, program+" "+strings.Join(arguments[1:], " "))
		if program == "smbstatus" {
			return []byte(status), nil
		}
		return nil, nil
	}
	return r, &ran
}
