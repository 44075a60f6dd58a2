package main

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	must "github.com/stretchr/testify/require" // `require` is a function of this package
)

func TestStateFolderIsHandedOverOnce(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can give a folder away")
	}
	path := filepath.Join(t.TempDir(), "syncthing")
	must.NoError(t, os.Mkdir(path, 0o755))

	changed, err := handOver(path, 2000, 2000)
	must.NoError(t, err)
	must.True(t, changed)
	info, err := os.Stat(path)
	must.NoError(t, err)
	must.Equal(t, os.FileMode(0o700), info.Mode().Perm())
	must.Equal(t, uint32(2000), info.Sys().(*syscall.Stat_t).Uid)

	changed, err = handOver(path, 2000, 2000)
	must.NoError(t, err)
	must.False(t, changed)
}

func TestStateOfAnotherAccountIsRefused(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can give a folder away")
	}
	path := t.TempDir()
	must.NoError(t, os.Chown(path, 1010, 1010))
	_, err := handOver(path, 2000, 2000)
	must.ErrorContains(t, err, "belongs to 1010:1010")
}
