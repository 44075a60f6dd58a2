package samba

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestOnlyWhoMayNoLongerIsCutOff(t *testing.T) {
	configuration := filepath.Join(t.TempDir(), "smb.conf")
	require.NoError(t, os.WriteFile(configuration, []byte("[global]\n  workgroup = [HOME]\n\n[photos]\n  path = /photos\n  [roms]\n"), 0o600))
	var ran []string
	run := func(program string, arguments ...string) ([]byte, error) {
		require.Equal(t, "--configfile="+configuration, arguments[0])
		ran = append(ran, program+" "+strings.Join(arguments[1:], " "))
		if program == "smbstatus" {
			return []byte(`{"tcons": {"1": {"service": "IPC$"}, "2": {"service": "roms"}, "3": {"service": "gone"}, "4": {"service": "roms"}}}`), nil
		}
		return nil, nil
	}
	require.NoError(t, Reload(configuration, run))
	require.Equal(t, []string{
		"smbcontrol all reload-config", "smbstatus --shares --json",
		"smbcontrol smbd close-share gone", "smbcontrol smbd close-denied-share roms",
	}, ran)
}

func TestReloadThatFailsSaysSo(t *testing.T) {
	configuration := filepath.Join(t.TempDir(), "smb.conf")
	require.Error(t, Reload(configuration, nil), "no configuration")
	require.NoError(t, os.WriteFile(configuration, nil, 0o600))
	refused := errors.New("no smbd")
	require.ErrorIs(t, Reload(configuration, func(string, ...string) ([]byte, error) { return nil, refused }), refused)
	require.ErrorContains(t, Reload(configuration, func(string, ...string) ([]byte, error) { return []byte("text"), nil }), "smbstatus")
}
