// Package filelock keeps other processes away from a file while one changes it.
// The file may be replaced, moved or removed meanwhile.
package filelock

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/gofrs/flock"
)

// Acquire waits until no other process holds the file and gives what ends the
// hold. How it is opened, flag, says whether it is made when it isn't there.
func Acquire(ctx context.Context, path string, flag int) (release func(), err error) {
	retry := time.NewTicker(20 * time.Millisecond)
	defer retry.Stop()
	for {
		lock, remove := lockOf(path, flag)
		got, err := lock.TryLock()
		if got && isStill(lock) {
			return func() {
				_ = lock.Unlock()
				if remove {
					_ = os.Remove(lock.Path()) // fails while another one waits, who removes it then
				}
			}, nil
		}
		_ = lock.Unlock()
		var open *fs.PathError // names the file by itself
		switch {
		case errors.As(err, &open):
			return nil, err
		case err != nil:
			return nil, fmt.Errorf("lock %s: %w", lock.Path(), err)
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-retry.C:
		}
	}
}

// lockOf is a lock on the file itself, so that nothing else lies about. Windows
// can neither replace a file that is open nor write to one that another handle
// locked: there a file beside it is locked, and removed in the end.
func lockOf(path string, flag int) (lock *flock.Flock, remove bool) {
	if runtime.GOOS == "windows" {
		beside := filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+".lock")
		return flock.New(beside, flock.SetFlag(os.O_CREATE|os.O_RDWR)), true
	}
	return flock.New(path, flock.SetFlag(flag), flock.SetPermissions(0o644)), false
}

// isStill tells whether what was locked is what the path names now: whoever had
// the lock before may have replaced or removed it.
func isStill(lock *flock.Flock) bool {
	locked, err := lock.Stat()
	if err != nil {
		return false
	}
	named, err := os.Stat(lock.Path())
	return err == nil && os.SameFile(locked, named)
}
