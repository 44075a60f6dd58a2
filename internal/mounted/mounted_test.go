package mounted_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tmorin/homecloud/internal/mounted"
)

// publish does what the kubelet does: a new folder, and ..data points to it.
func publish(t *testing.T, volume, version string, files map[string]string) {
	t.Helper()
	folder := filepath.Join(volume, version)
	require.NoError(t, os.Mkdir(folder, 0o700))
	for name, content := range files {
		require.NoError(t, os.WriteFile(filepath.Join(folder, name), []byte(content), 0o600))
		if _, err := os.Lstat(filepath.Join(volume, name)); err != nil {
			require.NoError(t, os.Symlink(filepath.Join("..data", name), filepath.Join(volume, name)))
		}
	}
	link := filepath.Join(volume, "..data_tmp")
	require.NoError(t, os.Symlink(version, link))
	require.NoError(t, os.Rename(link, filepath.Join(volume, "..data")))
}

func TestVersionsAreNeverMixed(t *testing.T) {
	volume := t.TempDir()
	publish(t, volume, "..2026_1", map[string]string{"a": "1", "b": "1"})
	stop, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			digit := string(rune('2' + i%8))
			version := "..2026_" + digit + "_" + string(rune('a'+i%26)) + string(rune('a'+i/26%26))
			if _, err := os.Lstat(filepath.Join(volume, version)); err == nil {
				continue
			}
			old, err := os.Readlink(filepath.Join(volume, "..data"))
			if err != nil {
				panic(err)
			}
			publish(t, volume, version, map[string]string{"a": digit, "b": digit})
			_ = os.RemoveAll(filepath.Join(volume, old))
		}
	}()
	for range 2000 {
		files, err := mounted.Read(volume)
		require.NoError(t, err)
		require.Len(t, files, 2)
		require.Equal(t, string(files["a"]), string(files["b"]))
	}
	close(stop)
	<-ended
}

func TestPlainFolderIsReadAsWell(t *testing.T) {
	folder := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(folder, "a"), []byte("1"), 0o600))
	require.NoError(t, os.Mkdir(filepath.Join(folder, "sub"), 0o700))
	files, err := mounted.Read(folder)
	require.NoError(t, err)
	require.Equal(t, map[string][]byte{"a": []byte("1")}, files)
	_, err = mounted.Read(filepath.Join(folder, "none"))
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestReplaceKeepsWhatIsRightAndCorrectsTheMode(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	for _, step := range []struct {
		content string
		mode    os.FileMode
		changed bool
	}{{"a", 0o600, true}, {"a", 0o600, false}, {"a", 0o644, true}, {"b", 0o644, true}} {
		changed, err := mounted.Replace(path, []byte(step.content), step.mode)
		require.NoError(t, err)
		require.Equal(t, step.changed, changed)
		info, err := os.Stat(path)
		require.NoError(t, err)
		require.Equal(t, step.mode, info.Mode())
	}
	entries, err := os.ReadDir(filepath.Dir(path))
	require.NoError(t, err)
	require.Len(t, entries, 1, "nothing is left over")
}
