package nfs_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tmorin/homecloud/internal/disk/disktest"
	"github.com/tmorin/homecloud/internal/nfs"
)

func TestMain(m *testing.M) { os.Exit(disktest.Main(m)) }

func lookup(t *testing.T, address, export string) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
	defer cancel()
	return nfs.Lookup(ctx, address, export)
}

// Real Ganesha: one export that works, one that its client isn't allowed to
// see, one on a file system that it can't export (it then goes on without).
func TestExportIsToldFromAPortThatOnlyListens(t *testing.T) {
	program, err := exec.LookPath("ganesha.nfsd")
	if err != nil {
		t.Skip("needs ganesha.nfsd: make test-daemons brings it")
	}
	d := disktest.New(t, "ext4")
	d.Adopt()
	overlay := overlayFolder(t)
	for _, share := range []string{d.In("shares/roms"), d.In("shares/secret"), filepath.Join(overlay, "lost")} {
		require.NoError(t, os.MkdirAll(share, 0o770))
	}
	folder := t.TempDir()
	address := freeAddress(t)
	_, port, err := net.SplitHostPort(address)
	require.NoError(t, err)
	var configuration strings.Builder
	fmt.Fprintf(&configuration, `NFS_CORE_PARAM { Protocols = 4; NFS_Port = %s; Bind_addr = 127.0.0.1; Enable_UDP = false; Enable_NLM = false; Enable_RQUOTA = false; }
NFSV4 { Minor_Versions = 0, 1, 2; RecoveryBackend = fs; RecoveryRoot = %s; Graceless = true; Only_Numeric_Owners = true; }
`, port, folder)
	for i, export := range []struct{ name, path, client string }{
		{"roms", d.In("shares/roms"), "127.0.0.1"}, {"secret", d.In("shares/secret"), "192.0.2.1"}, {"lost", filepath.Join(overlay, "lost"), "127.0.0.1"},
	} {
		fmt.Fprintf(&configuration, `EXPORT { Export_Id = %d; Path = %s; Pseudo = /%s; Access_Type = NONE; Squash = All_Squash; Protocols = 4; Transports = TCP; SecType = sys; FSAL { Name = VFS; }
  CLIENT { Clients = %s; Access_Type = RO; Protocols = 4; } }
`, i+1, export.path, export.name, export.client)
	}
	path := filepath.Join(folder, "ganesha.conf")
	require.NoError(t, os.WriteFile(path, []byte(configuration.String()), 0o600))

	log := &bytes.Buffer{}
	cmd := exec.Command(program, "-F", "-L", "/dev/stdout", "-f", path, "-p", filepath.Join(folder, "pid"))
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("Ganesha said:\n%s", log)
		}
	})
	require.Eventually(t, func() bool { return lookup(t, address, "/roms") == nil }, 15*time.Second, 50*time.Millisecond)
	require.NoError(t, lookup(t, address, "/"), "the root itself")
	require.ErrorContains(t, lookup(t, address, "/other"), "no such export")
	require.Error(t, lookup(t, address, "/secret"), "for another client only")
	require.Error(t, lookup(t, address, "/lost"), "Ganesha can't export an overlay")
}

// overlayFolder is on a file system that has no file handles.
func overlayFolder(t *testing.T) string {
	t.Helper()
	base, err := os.MkdirTemp("/dev/shm", "homecloud-nfs-")
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(base) })
	for _, name := range []string{"lower", "upper", "work", "merged"} {
		require.NoError(t, os.Mkdir(filepath.Join(base, name), 0o755))
	}
	merged := filepath.Join(base, "merged")
	options := fmt.Sprintf("lowerdir=%[1]s/lower,upperdir=%[1]s/upper,workdir=%[1]s/work", base)
	require.NoError(t, syscall.Mount("overlay", merged, "overlay", 0, options))
	t.Cleanup(func() { _ = syscall.Unmount(merged, syscall.MNT_DETACH) })
	return merged
}

func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	return listener.Addr().String()
}

func TestWhatIsNoNFSServerIsRefused(t *testing.T) {
	require.ErrorContains(t, lookup(t, freeAddress(t), "/x"), "connection refused")
	for name, answer := range map[string][]byte{
		"HTTP":    []byte("HTTP/1.1 400 Bad Request\r\n\r\n"),
		"nothing": nil,
		"zeroes":  append([]byte{0x80, 0, 0, 64}, make([]byte, 64)...),
	} {
		t.Run(name, func(t *testing.T) {
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			require.NoError(t, err)
			defer listener.Close()
			go func() {
				connection, err := listener.Accept()
				if err != nil {
					return
				}
				defer connection.Close()
				_, _ = io.ReadFull(connection, make([]byte, 40))
				_, _ = connection.Write(answer)
			}()
			require.Error(t, lookup(t, listener.Addr().String(), "/x"))
		})
	}
}

func TestServerThatHangsIsGivenUp(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	require.ErrorContains(t, nfs.Lookup(ctx, listener.Addr().String(), "/x"), "timeout")
}
