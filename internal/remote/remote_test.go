package remote_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

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
