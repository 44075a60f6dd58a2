package filelock_test

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tmorin/homecloud/internal/filelock"
)

func TestHoldersOfAFileThatEachReplacesFollowEachOther(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(path, nil, 0o600))
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			release, err := filelock.Acquire(t.Context(), path, os.O_RDWR)
			if !assertNoError(t, err) {
				return
			}
			defer release()
			content, err := os.ReadFile(path)
			assertNoError(t, err)
			assertNoError(t, os.WriteFile(path+".new", append(content, 'x'), 0o600))
			assertNoError(t, os.Rename(path+".new", path))
		})
	}
	all.Wait()
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Len(t, content, 20)
	beside, err := os.ReadDir(filepath.Dir(path))
	require.NoError(t, err)
	require.Len(t, beside, 1)
}

func TestWaitingEndsWithTheContext(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	release, err := filelock.Acquire(t.Context(), path, os.O_RDWR|os.O_CREATE)
	require.NoError(t, err)
	defer release()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err = filelock.Acquire(ctx, path, os.O_RDWR)
	require.ErrorIs(t, err, context.DeadlineExceeded)
}

func TestFileThatIsNotThereIsAnError(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	_, err := filelock.Acquire(t.Context(), path, os.O_RDWR)
	require.EqualError(t, err, "open "+path+": no such file or directory")
}

// assertNoError may be called where FailNow may not.
func assertNoError(t *testing.T, err error) bool {
	t.Helper()
	if err != nil {
		t.Error(err)
	}
	return err == nil
}
