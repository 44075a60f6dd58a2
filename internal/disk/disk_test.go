package disk_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/tmorin/homecloud/internal/config"
	"github.com/tmorin/homecloud/internal/disk"
	"github.com/tmorin/homecloud/internal/disk/disktest"
)

var fileSystems = []string{"btrfs", "ext4", "xfs"}

func TestAdoptedDiskIsRight(t *testing.T) {
	for _, fileSystem := range fileSystems {
		t.Run(fileSystem, func(t *testing.T) {
			d := disktest.New(t, fileSystem)
			sentinel := d.Adopt()

			found, err := d.Expectation().Check()
			require.NoError(t, err)
			require.Equal(t, sentinel, found.Sentinel)
			require.Equal(t, fileSystem, found.FileSystem)
			require.Empty(t, found.Unproved, "these file systems can prove everything")
			require.NoError(t, d.Expectation().ProbeWrite(found.Identity, "probe"))
			entries, err := os.ReadDir(d.In(config.ProbeDirectory))
			require.NoError(t, err)
			require.Empty(t, entries, "a probe leaves nothing")

			info, err := os.Stat(d.In(config.SentinelFile))
			require.NoError(t, err)
			require.Equal(t, os.FileMode(0o444), info.Mode())
			requireOwner(t, d.In(config.SentinelFile), 0)
			for name, owner := range map[string]uint32{
				config.SharesDirectory: 2000, config.InboxDirectory: 2000, config.ProbeDirectory: 2000, config.SnapshotsDirectory: 0,
			} {
				requireOwner(t, d.In(name), owner)
			}
		})
	}
}

func requireOwner(t *testing.T, path string, owner uint32) {
	t.Helper()
	var info unix.Stat_t
	require.NoError(t, unix.Lstat(path, &info))
	require.Equal(t, owner, info.Uid, path)
	require.Equal(t, owner, info.Gid, path)
}

func TestSentinelLiesOnTheDiskAndNotInTheTree(t *testing.T) {
	// btrfs keeps up to a block inside its tree, where a direct read is
	// answered from memory.
	d := disktest.New(t, "btrfs")
	d.Adopt()
	var info unix.Stat_t
	require.NoError(t, unix.Stat(d.In(config.SentinelFile), &info))
	require.EqualValues(t, 8192, info.Size)
}

func TestAdoptingAgainChangesNothing(t *testing.T) {
	d := disktest.New(t, "ext4")
	first := d.Adopt()
	require.NoError(t, os.WriteFile(d.In("shares/file"), []byte("kept"), 0o600))

	second, adopted, err := d.Adoption().Run()
	require.NoError(t, err)
	require.False(t, adopted)
	require.Equal(t, first, second)
	require.FileExists(t, d.In("shares/file"))
}

func TestInterruptedAdoptionIsFinished(t *testing.T) {
	d := disktest.New(t, "ext4")
	require.NoError(t, os.Mkdir(d.In("shares"), 0o770))
	require.NoError(t, os.Chown(d.In("shares"), 2000, 2000))
	require.NoError(t, os.WriteFile(d.In(config.SentinelFile+".new"), []byte("half"), 0o444))
	d.Adopt()
	require.NoFileExists(t, d.In(config.SentinelFile+".new"))
	_, err := d.Expectation().Check()
	require.NoError(t, err)
}

// An emptied disk has what gates have left: nobody's data.
func TestWhatGatesLeaveIsNoData(t *testing.T) {
	d := disktest.New(t, "ext4")
	d.Adopt()
	require.NoError(t, os.Remove(d.In(config.SentinelFile)))
	require.NoError(t, os.WriteFile(d.In(config.ProbeDirectory+"/"+config.SessionFile), []byte("name"), 0o600))
	require.NoError(t, os.WriteFile(d.In(config.ProbeDirectory+"/gate-1-2"), nil, 0o600))
	_, adopted, err := d.Adoption().Run()
	require.NoError(t, err)
	require.True(t, adopted)
}

func TestAdoptionRefuses(t *testing.T) {
	tests := []struct {
		name    string
		prepare func(t *testing.T, d *disktest.Disk, a *disk.Adoption)
		want    string
	}{
		{"a disk with data", func(t *testing.T, d *disktest.Disk, _ *disk.Adoption) {
			require.NoError(t, os.WriteFile(d.In("holiday.jpg"), nil, 0o600))
		}, "holds data (holiday.jpg)"},
		{"data in a folder that adoption makes", func(t *testing.T, d *disktest.Disk, _ *disk.Adoption) {
			require.NoError(t, os.MkdirAll(d.In("shares/photos"), 0o770))
		}, "holds data (shares/photos)"},
		{"a disk of another cluster", func(_ *testing.T, d *disktest.Disk, a *disk.Adoption) {
			d.Adopt()
			a.Cluster = "neighbour"
		}, `is disk "data" of "home" already`},
		{"a folder on the system disk", func(_ *testing.T, d *disktest.Disk, _ *disk.Adoption) {
			d.Unmount()
		}, "nothing is mounted there"},
		{"a folder inside a disk", func(t *testing.T, d *disktest.Disk, a *disk.Adoption) {
			require.NoError(t, os.Mkdir(d.In("data"), 0o755))
			a.Path = d.In("data")
		}, "nothing is mounted there"},
		{"a mount of the file system above", func(t *testing.T, d *disktest.Disk, a *disk.Adoption) {
			require.NoError(t, os.MkdirAll(d.In("source"), 0o755))
			require.NoError(t, os.MkdirAll(d.In("above/data"), 0o755))
			require.NoError(t, unix.Mount(d.In("source"), d.In("above/data"), "", unix.MS_BIND, ""))
			t.Cleanup(func() { _ = unix.Unmount(d.In("above/data"), unix.MNT_DETACH) })
			a.Path = d.In("above/data")
		}, "same file system as the folder above"},
		{"a mount point of another name", func(t *testing.T, d *disktest.Disk, a *disk.Adoption) {
			d.MountElsewhere("other")
			a.Path = filepath.Join(d.Root, "other")
		}, `must be mounted at a folder of that name`},
		{"a file system without a UUID", func(t *testing.T, d *disktest.Disk, a *disk.Adoption) {
			a.Path = filepath.Join(d.Root, "memory", "data")
			require.NoError(t, os.MkdirAll(a.Path, 0o755))
			require.NoError(t, unix.Mount("none", a.Path, "ramfs", 0, ""))
			t.Cleanup(func() { _ = unix.Unmount(a.Path, unix.MNT_DETACH) })
		}, "use btrfs, ext4 or xfs"},
		{"a copy of a disk", func(t *testing.T, d *disktest.Disk, _ *disk.Adoption) {
			copySentinel(t, d)
		}, "is a copy"},
		{"a disk that was emptied", func(t *testing.T, d *disktest.Disk, _ *disk.Adoption) {
			d.Adopt()
			require.NoError(t, os.Remove(d.In("shares")))
		}, "was it emptied?"},
		{"a sentinel it doesn't understand", func(t *testing.T, d *disktest.Disk, _ *disk.Adoption) {
			require.NoError(t, os.WriteFile(d.In(config.SentinelFile), []byte(`{"version":7}`), 0o444))
		}, "version 7"},
		{"a folder of another owner", func(t *testing.T, d *disktest.Disk, a *disk.Adoption) {
			require.NoError(t, os.Mkdir(d.In("shares"), 0o770))
			require.NoError(t, os.Chown(d.In("shares"), 1010, 1010))
			a.AllowNonEmpty = true
		}, "belongs to 1010:1010, not to 2000:2000"},
		{"a link instead of a folder", func(t *testing.T, d *disktest.Disk, a *disk.Adoption) {
			require.NoError(t, os.Symlink("/etc", d.In("shares")))
			a.AllowNonEmpty = true
		}, "isn't a folder"},
		{"a disk mounted read-only", func(_ *testing.T, d *disktest.Disk, _ *disk.Adoption) {
			d.Remount("ro")
		}, "read-only file system"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			d := disktest.New(t, "ext4")
			adoption := d.Adoption()
			test.prepare(t, d, &adoption)
			before := names(t, adoption.Path)
			_, _, err := adoption.Run()
			require.ErrorContains(t, err, test.want)
			require.Equal(t, before, names(t, adoption.Path), "a refusal leaves everything as it is")
		})
	}
}

func names(t *testing.T, folder string) []string {
	t.Helper()
	var names []string
	entries, err := os.ReadDir(folder)
	require.NoError(t, err)
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return names
}

// copySentinel puts the sentinel of another disk on this one.
func copySentinel(t *testing.T, d *disktest.Disk) {
	t.Helper()
	other := disktest.New(t, "ext4")
	other.Adopt()
	content, err := os.ReadFile(other.In(config.SentinelFile))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(d.In(config.SentinelFile), content, 0o444))
}

func TestDataIsAdoptedWhenAskedAndStays(t *testing.T) {
	d := disktest.New(t, "ext4")
	require.NoError(t, os.WriteFile(d.In("holiday.jpg"), []byte("kept"), 0o600))
	adoption := d.Adoption()
	adoption.AllowNonEmpty = true
	_, adopted, err := adoption.Run()
	require.NoError(t, err)
	require.True(t, adopted)
	content, err := os.ReadFile(d.In("holiday.jpg"))
	require.NoError(t, err)
	require.Equal(t, "kept", string(content))
}

func TestMovedDiskKeepsItsIdentity(t *testing.T) {
	d := disktest.New(t, "btrfs")
	d.Adopt()
	adoption := d.Adoption()
	adoption.Node = "node-2"
	sentinel, adopted, err := adoption.Run()
	require.NoError(t, err)
	require.False(t, adopted)
	require.Equal(t, "node-1", sentinel.Node, "the node is information about the adoption")
}

func TestWrongDiskIsToldFromTheRightOne(t *testing.T) {
	tests := []struct {
		name    string
		prepare func(t *testing.T, d *disktest.Disk, e *disk.Expectation)
		want    string
	}{
		{"not mounted", func(_ *testing.T, d *disktest.Disk, _ *disk.Expectation) { d.Unmount() }, "nothing is mounted there"},
		{"no mount point", func(t *testing.T, d *disktest.Disk, _ *disk.Expectation) {
			d.Unmount()
			require.NoError(t, os.Remove(d.Path()))
		}, "no such file or directory"},
		{"another cluster", func(_ *testing.T, _ *disktest.Disk, e *disk.Expectation) { e.Cluster = "other" }, `holds disk "data" of "home", not disk "data" of "other"`},
		{"no sentinel", func(t *testing.T, d *disktest.Disk, _ *disk.Expectation) {
			require.NoError(t, os.Remove(d.In(config.SentinelFile)))
		}, "it wasn't adopted"},
		{"half a sentinel", func(t *testing.T, d *disktest.Disk, _ *disk.Expectation) {
			require.NoError(t, os.Truncate(d.In(config.SentinelFile), 20))
		}, "not JSON"},
		{"a sentinel that is a link", func(t *testing.T, d *disktest.Disk, _ *disk.Expectation) {
			require.NoError(t, os.Rename(d.In(config.SentinelFile), d.In("elsewhere")))
			require.NoError(t, os.Symlink("elsewhere", d.In(config.SentinelFile)))
		}, "too many levels of symbolic links"},
		{"a sentinel from another disk", func(t *testing.T, d *disktest.Disk, _ *disk.Expectation) {
			require.NoError(t, os.Remove(d.In(config.SentinelFile)))
			copySentinel(t, d)
		}, "the sentinel was written for file system"},
		{"read-only", func(_ *testing.T, d *disktest.Disk, _ *disk.Expectation) { d.Remount("ro") }, "mounted read-only"},
		{"a device that is gone, while its sentinel is in memory", func(t *testing.T, d *disktest.Disk, _ *disk.Expectation) {
			file, err := os.Open(d.In(config.SentinelFile))
			require.NoError(t, err)
			defer file.Close()
			held, err := unix.Mmap(int(file.Fd()), 0, 4096, unix.PROT_READ, unix.MAP_SHARED|unix.MAP_POPULATE) // it can't be let go
			require.NoError(t, err)
			t.Cleanup(func() { _ = unix.Munmap(held) })
			d.Vanish()
			_, err = os.ReadFile(d.In(config.SentinelFile))
			require.NoError(t, err, "answered from memory")
		}, "input/output error"},
		{"a dead disk", func(_ *testing.T, d *disktest.Disk, _ *disk.Expectation) { d.Shutdown() }, "input/output error"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			d := disktest.New(t, "ext4")
			d.Adopt()
			expectation := d.Expectation()
			test.prepare(t, d, &expectation)
			_, err := expectation.Check()
			require.ErrorContains(t, err, test.want)
		})
	}
}

func TestProbeNeverWritesOnWhatCameInstead(t *testing.T) {
	d := disktest.New(t, "ext4")
	d.Adopt()
	found, err := d.Expectation().Check()
	require.NoError(t, err)
	d.Unmount()
	require.NoError(t, os.Mkdir(d.In(config.ProbeDirectory), 0o777))
	require.Error(t, d.Expectation().ProbeWrite(found.Identity, "probe"))
	d.Mount()
	require.ErrorContains(t, d.Expectation().ProbeWrite(found.Identity, "probe"), "mounted anew")
}

func TestFullDiskIsToldFromABrokenOne(t *testing.T) {
	for _, fileSystem := range fileSystems {
		t.Run(fileSystem, func(t *testing.T) {
			d := disktest.New(t, fileSystem)
			d.Adopt()
			d.Fill()
			found, err := d.Expectation().Check()
			require.NoError(t, err, "a full disk is the right disk")
			require.ErrorIs(t, d.Expectation().ProbeWrite(found.Identity, "probe"), disk.ErrFull)
		})
	}
}

func TestShowTellsWhatAGateWouldSay(t *testing.T) {
	d := disktest.New(t, "ext4")
	_, err := disk.Show(d.Path())
	require.ErrorContains(t, err, "it wasn't adopted")
	want := d.Adopt()
	got, err := disk.Show(d.Path())
	require.NoError(t, err)
	require.Equal(t, want, got)
	d.Shutdown()
	_, err = disk.Show(d.Path())
	require.ErrorContains(t, err, "input/output error")
}

func TestErrorsNameThePlaceAndNotTheDescriptor(t *testing.T) {
	d := disktest.New(t, "ext4")
	require.NoError(t, os.Symlink("/etc", d.In("shares")))
	adoption := d.Adoption()
	adoption.AllowNonEmpty = true
	_, _, err := adoption.Run()
	require.False(t, strings.Contains(err.Error(), "/proc/self"), err)
}
