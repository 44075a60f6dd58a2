package disktest

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// folderPattern names the folders of disks, in the system's folder of temporary
// files.
const folderPattern = "homecloud-disk-"

// abandoned is the age from which a folder that nobody holds is one of a run that
// was killed: one that was just made isn't held yet.
const abandoned = time.Hour

// sweepOnce tidies up before the first disk of a process.
var sweepOnce = sync.OnceFunc(func() { sweep(os.TempDir(), time.Now().Add(-abandoned)) })

// hold marks a folder as one of a running test, for as long as it is open.
func hold(folder string) (*os.File, error) {
	held, err := os.Open(folder)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(held.Fd()), unix.LOCK_EX); err != nil {
		held.Close()
		return nil, err
	}
	return held, nil
}

// sweep removes the folders that killed runs have left: ours, unheld, unmounted
// in any namespace, and last changed before a moment. What can't be told stays.
func sweep(parent string, before time.Time) {
	folders, err := filepath.Glob(filepath.Join(parent, folderPattern+"*"))
	if err != nil || len(folders) == 0 {
		return
	}
	used, err := inUse()
	if err != nil {
		return
	}
	for _, folder := range folders {
		info, err := os.Lstat(folder)
		if err != nil || !info.IsDir() || info.ModTime().After(before) || used(folder) {
			continue
		}
		if stat, known := info.Sys().(*syscall.Stat_t); !known || int(stat.Uid) != os.Geteuid() {
			continue
		}
		remove(folder)
	}
}

func remove(folder string) {
	held, err := os.Open(folder)
	if err != nil {
		return
	}
	defer held.Close()
	if unix.Flock(int(held.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil {
		_ = os.RemoveAll(folder)
	}
}

// inUse tells folders in which something is mounted here, or whose disk is
// mounted anywhere: a loop device knows its file in every namespace.
func inUse() (func(folder string) bool, error) {
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	devices, err := filepath.Glob("/sys/block/loop*/loop/backing_file")
	if err != nil {
		return nil, err
	}
	for _, device := range devices {
		file, _ := os.ReadFile(device) // gone, when it was given free meanwhile
		mounts = append(append(mounts, ' '), file...)
	}
	return func(folder string) bool {
		return bytes.Contains(mounts, []byte(" "+strings.TrimSuffix(folder, "/")+"/"))
	}, nil
}
