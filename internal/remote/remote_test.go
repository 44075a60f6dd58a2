package remote_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"encoding/pem"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
	"golang.org/x/crypto/ssh/knownhosts"

	"github.com/tmorin/homecloud/internal/remote"
	"github.com/tmorin/homecloud/internal/remote/remotetest"
)

// board is one that the test's key opens.
func board(t *testing.T) (b *remotetest.Board, target remote.Target, home string) {
	t.Helper()
	home = t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("SSH_AUTH_SOCK", "")
	b = remotetest.Serve(t, home)
	return b, remote.Target{Name: "node-1", Address: "127.0.0.1", Port: b.Port, User: "root"}, home
}

func dial(t *testing.T, target remote.Target) *remote.Board {
	t.Helper()
	b, err := remote.Dial(t.Context(), target)
	require.NoError(t, err)
	t.Cleanup(func() { _ = b.Close() })
	return b
}

func TestScriptGetsItsInputAndGivesItsOutput(t *testing.T) {
	_, target, _ := board(t)
	connection := dial(t, target)
	for _, host := range []interface {
		Run(context.Context, string, io.Reader, io.Writer) error
	}{connection, remote.Here{}} {
		var out bytes.Buffer
		require.NoError(t, host.Run(t.Context(), "tr a-z A-Z; echo \"it's $((1+1))\"", strings.NewReader("hello\n"), &out))
		require.Equal(t, "HELLO\nit's 2\n", out.String())
		err := host.Run(t.Context(), "echo no such thing >&2; exit 3", nil, nil)
		require.ErrorContains(t, err, ": no such thing")
		err = host.Run(t.Context(), "exit 3", nil, nil)
		require.ErrorContains(t, err, "said nothing and ended with exit code 3")
	}
}

func TestOtherUserBecomesRootBySudo(t *testing.T) {
	b, target, _ := board(t)
	target.User = "admin"
	b.Program(t, "sudo", `[ "$1" = -n ] && shift && exec env BY=sudo "$@"`)
	var out bytes.Buffer
	require.NoError(t, dial(t, target).Run(t.Context(), "echo $BY", nil, &out))
	require.Equal(t, "sudo\n", out.String())

	b.Program(t, "sudo", "echo 'sudo: a password is required' >&2; exit 1")
	require.EqualError(t, dial(t, target).Run(t.Context(), "true", nil, nil),
		"node-1: sudo: a password is required; admin has to be root, or allowed to become root by sudo without a password")
}

func TestBoardThatNobodyHasLookedAtIsRefused(t *testing.T) {
	b, target, home := board(t)
	require.NoError(t, os.Remove(filepath.Join(home, ".ssh", "known_hosts")))
	_, err := remote.Dial(t.Context(), target)
	port := strconv.Itoa(b.Port)
	require.EqualError(t, err, "node-1 (root@127.0.0.1:"+port+"): nobody has said yet that its key is "+ssh.FingerprintSHA256(b.Key)+
		"; log in once with `ssh -p "+port+" root@127.0.0.1`, compare, and say yes")
}

func TestBoardWithAnotherKeyIsRefused(t *testing.T) {
	b, target, home := board(t)
	_, other, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	public, err := ssh.NewPublicKey(other.Public())
	require.NoError(t, err)
	file := filepath.Join(home, ".ssh", "known_hosts")
	address := net.JoinHostPort("127.0.0.1", strconv.Itoa(b.Port))
	require.NoError(t, os.WriteFile(file, []byte(knownhosts.Line([]string{address}, public)+"\n"), 0o600))
	_, err = remote.Dial(t.Context(), target)
	require.ErrorContains(t, err, "its key is "+ssh.FingerprintSHA256(b.Key)+", "+file+":1 knows another")
	require.ErrorContains(t, err, "`ssh-keygen -R [127.0.0.1]:"+strconv.Itoa(b.Port)+"`")
}

func TestKeyThatOpensNothingIsSaid(t *testing.T) {
	_, target, home := board(t)
	_, other, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	write := func(block *pem.Block, err error) {
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(home, ".ssh", "id_ed25519"), pem.EncodeToMemory(block), 0o600))
	}
	write(ssh.MarshalPrivateKey(other, ""))
	_, err = remote.Dial(t.Context(), target)
	require.ErrorContains(t, err, "none of your keys opens it; bring your key there with `ssh-copy-id -p")
	write(ssh.MarshalPrivateKeyWithPassphrase(other, "", []byte("secret")))
	_, err = remote.Dial(t.Context(), target)
	require.ErrorContains(t, err, "none of your keys opens it; ~/.ssh/id_ed25519 has a passphrase, `ssh-add ~/.ssh/id_ed25519` opens it")
	target.IdentityFile = "~/.ssh/absent"
	_, err = remote.Dial(t.Context(), target)
	require.ErrorContains(t, err, "node-1: the key to log in with: ")
}

func TestKeyOfTheAgentOpens(t *testing.T) {
	_, target, home := board(t)
	file := filepath.Join(home, ".ssh", "id_ed25519")
	content, err := os.ReadFile(file)
	require.NoError(t, err)
	require.NoError(t, os.Remove(file))
	key, err := ssh.ParseRawPrivateKey(content)
	require.NoError(t, err)
	ring := agent.NewKeyring()
	require.NoError(t, ring.Add(agent.AddedKey{PrivateKey: key}))
	socket := filepath.Join(home, "agent")
	listener, err := net.Listen("unix", socket)
	require.NoError(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	go func() { // ends with the listener
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			go func() { _ = agent.ServeAgent(ring, connection) }()
		}
	}()
	t.Setenv("SSH_AUTH_SOCK", socket)
	require.NoError(t, dial(t, target).Run(t.Context(), "true", nil, nil))
}

func TestBoardThatDoesNotAnswerIsSaid(t *testing.T) {
	_, target, _ := board(t)
	target.Port = 1
	_, err := remote.Dial(t.Context(), target)
	require.ErrorContains(t, err, "node-1 (root@127.0.0.1:1) can't be reached: ")
}

func TestInterruptEndsARunningScript(t *testing.T) {
	_, target, _ := board(t)
	connection := dial(t, target)
	ctx, cancel := context.WithCancel(t.Context())
	reader, writer := io.Pipe()
	go func() {
		_, _ = io.CopyN(io.Discard, reader, 8)
		cancel()
	}()
	err := connection.Run(ctx, "echo started; exec sleep 1", nil, writer)
	require.True(t, errors.Is(err, context.Canceled), err)
}

// TestRealSSHD logs in to OpenSSH's own server.
func TestRealSSHD(t *testing.T) {
	if testing.Short() {
		t.Skip("a long test: go test ./internal/remote, as root")
	}
	program, err := exec.LookPath("sshd")
	if err != nil || os.Geteuid() != 0 {
		t.Skip("needs root and sshd: run ./test/daemons.sh, or `apt-get install openssh-server && go test ./internal/remote` as root")
	}
	_, target, home := board(t) // for its home with a key
	mine, err := ssh.ParsePrivateKey(read(t, filepath.Join(home, ".ssh", "id_ed25519")))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(home, "authorized"), ssh.MarshalAuthorizedKey(mine.PublicKey()), 0o600))
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	old, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	settings := "AuthorizedKeysFile " + home + "/authorized\nStrictModes no\nUsePAM no\nPidFile none\nPasswordAuthentication no\n"
	for name, key := range map[string]crypto.PrivateKey{"ed25519": ed, "rsa": old} {
		block, err := ssh.MarshalPrivateKey(key, "")
		require.NoError(t, err)
		file := filepath.Join(home, "host-"+name)
		require.NoError(t, os.WriteFile(file, pem.EncodeToMemory(block), 0o600))
		settings += "HostKey " + file + "\n"
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	target.Port = listener.Addr().(*net.TCPAddr).Port
	require.NoError(t, listener.Close())
	settings += "ListenAddress 127.0.0.1:" + strconv.Itoa(target.Port) + "\n"
	require.NoError(t, os.WriteFile(filepath.Join(home, "sshd_config"), []byte(settings), 0o600))
	var log bytes.Buffer
	sshd := exec.Command(program, "-D", "-e", "-f", filepath.Join(home, "sshd_config"))
	sshd.Stderr = &log
	sshd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	require.NoError(t, sshd.Start())
	t.Cleanup(func() {
		_ = sshd.Process.Signal(syscall.SIGTERM)
		_ = sshd.Wait()
		if t.Failed() {
			t.Log(log.String())
		}
	})
	// It prefers the key that isn't known here.
	address := net.JoinHostPort("127.0.0.1", strconv.Itoa(target.Port))
	known, err := ssh.NewPublicKey(old.Public())
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(home, ".ssh", "known_hosts"), []byte(knownhosts.Line([]string{address}, known)+"\n"), 0o600))
	require.Eventually(t, func() bool {
		connection, err := net.Dial("tcp", address)
		if err == nil {
			_ = connection.Close()
		}
		return err == nil
	}, 10*time.Second, 20*time.Millisecond)

	connection := dial(t, target)
	var out bytes.Buffer
	require.NoError(t, connection.Run(t.Context(), "wc -c; id -u; echo \"it's\"", bytes.NewReader(make([]byte, 3_000_000)), &out))
	require.Equal(t, "3000000\n0\nit's\n", out.String())
	require.EqualError(t, connection.Run(t.Context(), "echo no such thing >&2; exit 3", nil, nil), "node-1: no such thing")
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, connection.Run(ctx, "sleep 60", nil, nil), context.DeadlineExceeded)
}

func read(t *testing.T, file string) []byte {
	t.Helper()
	content, err := os.ReadFile(file)
	require.NoError(t, err)
	return content
}
