// Package remotetest is a board for tests: an SSH server in this process that
// really runs what it is told, below a folder.
package remotetest

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
)

// Board is a running server. What it is told to do below /var/lib it does below
// Root, and programs in Root/bin come first.
type Board struct {
	Root string
	Port int
	Key  ssh.PublicKey // of the board

	mutex    sync.Mutex
	cut      int64 // after so many bytes of a command's input the connection breaks; 0: never
	received int64
}

// Serve starts a board, and makes a home folder whose key opens it and whose
// known_hosts knows it. The test's HOME is that folder.
func Serve(t testing.TB, home string) *Board {
	t.Helper()
	b := &Board{Root: t.TempDir()}
	require.NoError(t, os.MkdirAll(filepath.Join(b.Root, "bin"), 0o755))
	own, err := ssh.NewSignerFromKey(newKey(t))
	require.NoError(t, err)
	b.Key = own.PublicKey()
	mine := newKey(t)
	allowed, err := ssh.NewSignerFromKey(mine)
	require.NoError(t, err)
	config := &ssh.ServerConfig{PublicKeyCallback: func(_ ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
		if string(key.Marshal()) != string(allowed.PublicKey().Marshal()) {
			return nil, errors.New("not allowed")
		}
		return nil, nil
	}}
	config.AddHostKey(own)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	b.Port = listener.Addr().(*net.TCPAddr).Port
	var all sync.WaitGroup
	t.Cleanup(all.Wait)
	t.Cleanup(func() { _ = listener.Close() })
	all.Go(func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { _ = connection.Close() })
			all.Go(func() { b.serve(connection, config) })
		}
	})

	block, err := ssh.MarshalPrivateKey(mine, "")
	require.NoError(t, err)
	require.NoError(t, os.MkdirAll(filepath.Join(home, ".ssh"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(home, ".ssh", "id_ed25519"), pem.EncodeToMemory(block), 0o600))
	known := knownhosts.Line([]string{net.JoinHostPort("127.0.0.1", strconv.Itoa(b.Port)), net.JoinHostPort("localhost", strconv.Itoa(b.Port))}, b.Key)
	require.NoError(t, os.WriteFile(filepath.Join(home, ".ssh", "known_hosts"), []byte(known+"\n"), 0o600))
	return b
}

func newKey(t testing.TB) ed25519.PrivateKey {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	return key
}

// CutAfter breaks the connection when a command was sent so many bytes.
func (b *Board) CutAfter(bytes int64) {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	b.cut = bytes
}

// Received are the bytes that commands were sent since it was asked last.
func (b *Board) Received() int64 {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	received := b.received
	b.received = 0
	return received
}

// Program puts a program of the shell on the board.
func (b *Board) Program(t testing.TB, name, script string) {
	t.Helper()
	require.NoError(t, os.WriteFile(filepath.Join(b.Root, "bin", name), []byte("#!/bin/sh\n"+script), 0o755))
}

func (b *Board) serve(connection net.Conn, config *ssh.ServerConfig) {
	server, channels, requests, err := ssh.NewServerConn(connection, config)
	if err != nil {
		return
	}
	defer server.Close()
	go ssh.DiscardRequests(requests) // ends with the connection
	var all sync.WaitGroup
	defer all.Wait()
	for offered := range channels {
		channel, requests, err := offered.Accept()
		if err != nil {
			return
		}
		all.Go(func() {
			for request := range requests {
				var exec struct{ Command string }
				if request.Type != "exec" || ssh.Unmarshal(request.Payload, &exec) != nil {
					_ = request.Reply(false, nil)
					continue
				}
				_ = request.Reply(true, nil)
				b.run(channel, connection, exec.Command)
				return
			}
		})
	}
}

func (b *Board) run(channel ssh.Channel, connection net.Conn, command string) {
	defer channel.Close()
	cmd := exec.Command("sh", "-c", strings.ReplaceAll(command, "/var/lib/", b.Root+"/var/lib/"))
	cmd.Env = append(os.Environ(), fmt.Sprintf("PATH=%s/bin:%s", b.Root, os.Getenv("PATH")), "BOARD="+b.Root)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = &cable{b, channel, connection}, channel, channel.Stderr()
	err := cmd.Run()
	status := 0
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		status = exit.ExitCode()
	} else if err != nil {
		status = 255
	}
	_, _ = channel.SendRequest("exit-status", false, ssh.Marshal(struct{ Status uint32 }{uint32(status)}))
}

// cable counts what a command is sent, and breaks.
type cable struct {
	b          *Board
	in         io.Reader
	connection net.Conn
}

func (c *cable) Read(p []byte) (int, error) {
	n, err := c.in.Read(p)
	c.b.mutex.Lock()
	defer c.b.mutex.Unlock()
	c.b.received += int64(n)
	if c.b.cut > 0 && c.b.received > c.b.cut {
		_ = c.connection.Close()
	}
	return n, err
}

// K3s puts a k3s on the board whose containerd only remembers the names and
// digests of the images that it was given.
func (b *Board) K3s(t testing.TB) {
	t.Helper()
	b.Program(t, "k3s", `touch $BOARD/images
case "$*" in
*" images ls") echo "REF TYPE DIGEST SIZE PLATFORMS LABELS"; cat $BOARD/images ;;
*" images import -")
  index=$(tar -xOf - index.json) || { echo "ctr: archive/tar: invalid tar header" >&2; exit 1; }
  echo "$index" | grep -o '"io.containerd.image.name":"[^"]*"' | cut -d'"' -f4 >$BOARD/names
  echo "$index" | grep -o '"digest":"[^"]*"' | cut -d'"' -f4 | paste -d' ' $BOARD/names - |
    while read -r name digest; do echo "$name manifest $digest 1MiB linux -"; done >>$BOARD/images
  ;;
*) echo "no such command: $*" >&2; exit 1 ;;
esac
`)
}
