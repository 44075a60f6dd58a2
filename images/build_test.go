package main

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// buildAll makes the project's images, of which the user's cache may hold some.
func buildAll(t *testing.T) (out, log string) {
	t.Helper()
	if err := checkPrograms(); err != nil {
		t.Skip(err, "; make deps installs them, and root is needed")
	}
	if testing.Short() {
		t.Skip("makes images: make test-images runs it")
	}
	out = t.TempDir()
	var progress bytes.Buffer
	b := &builder{dir: "..", list: readList(t, "images.yaml"), out: out, log: &progress}
	require.NoError(t, b.build(t.Context(), nil), progress.String())
	return out, progress.String()
}

func TestImagesRunTheirPrograms(t *testing.T) {
	out, _ := buildAll(t)
	programs := map[string][][]string{
		"agent": {{"/homecloud-agent", "--help"}},
		"nas": {
			{"/usr/sbin/smbd", "--version"},
			{"/usr/libexec/samba/rpcd_classic", "--help"},
			{"/usr/bin/testparm", "--version"},
			{"/usr/bin/ganesha.nfsd", "-v"},
			{"/usr/sbin/wsdd", "--version"},
		},
		"keepalived": {{"/usr/sbin/keepalived", "--version"}},
		"syncthing":  {{"/bin/syncthing", "--version"}},
	}
	for _, image := range readList(t, "images.yaml").Images {
		t.Run(image.Name, func(t *testing.T) {
			root, name := unpack(t, out, image.Name)
			require.Regexp(t, `^localhost/homecloud/`+image.Name+`:[0-9a-f]{12}$`, name)
			require.NotEmpty(t, programs[image.Name])
			for _, command := range programs[image.Name] {
				cmd := exec.CommandContext(t.Context(), command[0], command[1:]...)
				cmd.Dir, cmd.Env = "/", []string{"HOME=/", "PATH=/usr/sbin:/usr/bin:/bin"}
				cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: root}
				output, err := cmd.CombinedOutput()
				require.NoError(t, err, "%s: %s", command, output)
				require.NotEmpty(t, output)
			}
		})
	}
}

func TestImagesHoldNoShellAndNothingThatRaisesPrivileges(t *testing.T) {
	out, _ := buildAll(t)
	for _, image := range readList(t, "images.yaml").Images {
		root, _ := unpack(t, out, image.Name)
		var bad []string
		require.NoError(t, filepath.WalkDir(root, func(path string, entry os.DirEntry, err error) error {
			if err != nil {
				return err
			}
			info, err := entry.Info()
			if err != nil {
				return err
			}
			shell := slices.Contains([]string{"sh", "bash", "dash", "apt-get", "dpkg", "perl"}, entry.Name())
			if info.Mode().IsRegular() && (info.Mode()&(os.ModeSetuid|os.ModeSetgid) != 0 || shell && info.Mode()&0o111 != 0) {
				bad = append(bad, path)
			}
			return nil
		}))
		require.Empty(t, bad, image.Name)
	}
}

func TestNASImageFindsAccountsAndMounts(t *testing.T) {
	out, _ := buildAll(t)
	root, _ := unpack(t, out, "nas")
	target, err := os.Readlink(filepath.Join(root, "etc/mtab"))
	require.NoError(t, err, "without it Ganesha says that it is initialised and exports nothing")
	require.Equal(t, "/proc/self/mounts", target)
	nsswitch, err := os.ReadFile(filepath.Join(root, "etc/nsswitch.conf"))
	require.NoError(t, err)
	require.Contains(t, string(nsswitch), "passwd: files extrausers")
	module, err := filepath.Glob(filepath.Join(root, "usr/lib/libnss_extrausers.so.2"))
	require.NoError(t, err)
	require.Len(t, module, 1)
	for _, name := range []string{"samba", "nfs-ganesha", "libc6"} {
		require.FileExists(t, filepath.Join(root, "var/lib/dpkg/status.d", name), "what a scanner reads")
		require.FileExists(t, filepath.Join(root, "usr/share/doc", name, "copyright"))
	}
}

func TestImagesOfDebianTellScannersWhichOne(t *testing.T) {
	out, _ := buildAll(t)
	for _, image := range []string{"nas", "keepalived"} {
		root, _ := unpack(t, out, image)
		content, err := os.ReadFile(filepath.Join(root, "etc/os-release"))
		require.NoError(t, err)
		require.Contains(t, string(content), "VERSION_CODENAME=bookworm")
	}
}

func TestSecondBuildMakesNothingAndKeepsTags(t *testing.T) {
	first, _ := buildAll(t)
	second, log := buildAll(t)
	require.Equal(t, 4, strings.Count(log, "unchanged"), log)
	require.NotContains(t, log, "made")
	for _, out := range []string{first, second} {
		require.FileExists(t, filepath.Join(out, "values.yaml"))
	}
	require.Equal(t, names(t, first), names(t, second))
	a, err := os.ReadFile(filepath.Join(first, "values.yaml"))
	require.NoError(t, err)
	b, err := os.ReadFile(filepath.Join(second, "values.yaml"))
	require.NoError(t, err)
	require.Equal(t, string(a), string(b))
}

func TestOlderArchivesLeaveTheOutputFolder(t *testing.T) {
	cacheDir, out := t.TempDir(), t.TempDir()
	b := &builder{out: out, cache: &cache{dir: cacheDir}}
	require.NoError(t, os.Mkdir(filepath.Join(cacheDir, "archives"), 0o755))
	for _, tag := range []string{"aaaaaaaaaaaa", "bbbbbbbbbbbb"} {
		made := record{Name: "nas", Tag: tag, Size: int64(len(tag))}
		require.NoError(t, os.WriteFile(b.cache.archive(made), []byte(tag), 0o644))
		require.NoError(t, b.deliver("nas", made))
	}
	require.Equal(t, []string{"nas-bbbbbbbbbbbb.tar"}, names(t, out))
}

func names(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	var found []string
	for _, entry := range entries {
		found = append(found, entry.Name())
	}
	return found
}

// unpack lays out an image's files as a container would see them, and gives the
// name under which the archive loads.
func unpack(t *testing.T, out, image string) (root, name string) {
	t.Helper()
	archives, err := filepath.Glob(filepath.Join(out, image+"-*.tar"))
	require.NoError(t, err)
	require.Len(t, archives, 1)
	dir := t.TempDir()
	untar(t, archives[0], dir)
	content, err := os.ReadFile(filepath.Join(dir, "manifest.json"))
	require.NoError(t, err)
	var manifest []struct {
		Config   string
		RepoTags []string
		Layers   []string
	}
	require.NoError(t, json.Unmarshal(content, &manifest))
	require.Len(t, manifest, 1)
	require.Len(t, manifest[0].RepoTags, 1)
	config, err := os.ReadFile(filepath.Join(dir, manifest[0].Config))
	require.NoError(t, err)
	require.Contains(t, string(config), `"architecture":"`+runtime.GOARCH+`"`)
	root = filepath.Join(dir, "root")
	for _, layer := range manifest[0].Layers {
		untar(t, filepath.Join(dir, layer), root)
	}
	return root, manifest[0].RepoTags[0]
}

func untar(t *testing.T, archive, dir string) {
	t.Helper()
	file, err := os.Open(archive)
	require.NoError(t, err)
	defer file.Close()
	reader := tar.NewReader(file)
	for {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		require.NoError(t, err)
		path := filepath.Join(dir, header.Name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		switch header.Typeflag {
		case tar.TypeDir:
			require.NoError(t, os.MkdirAll(path, 0o755))
		case tar.TypeSymlink:
			require.NoError(t, os.Symlink(header.Linkname, path))
		case tar.TypeLink:
			require.NoError(t, os.Link(filepath.Join(dir, header.Linkname), path))
		case tar.TypeReg:
			target, err := os.Create(path)
			require.NoError(t, err)
			_, err = io.Copy(target, reader)
			require.NoError(t, err)
			require.NoError(t, target.Close())
			require.NoError(t, os.Chmod(path, header.FileInfo().Mode()))
		}
	}
}
