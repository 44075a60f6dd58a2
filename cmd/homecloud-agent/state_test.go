package main

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestStateFolderIsHandedOverOnce(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can give a folder away: run as root")
	}
	path := filepath.Join(t.TempDir(), "syncthing")
	require.NoError(t, os.Mkdir(path, 0o755))

	changed, err := handOver(path, 2000, 2000)
	require.NoError(t, err)
	require.True(t, changed)
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o700), info.Mode().Perm())
	require.Equal(t, uint32(2000), info.Sys().(*syscall.Stat_t).Uid)

	changed, err = handOver(path, 2000, 2000)
	require.NoError(t, err)
	require.False(t, changed)
}

func TestStateOfAnotherAccountIsRefused(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can give a folder away: run as root")
	}
	path := t.TempDir()
	require.NoError(t, os.Chown(path, 1010, 1010))
	_, err := handOver(path, 2000, 2000)
	require.ErrorContains(t, err, "belongs to 1010:1010")
}
