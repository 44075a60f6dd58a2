package e2e

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/tmorin/homecloud/test/cloud"
)

// laptop is a machine of the family's network with Samba's own client.
type laptop struct {
	cloud *cloud.Cloud
	auth  string // a file with name and password: never an argument
}

// newLaptop logs in as a user, with the password that the cluster holds.
func newLaptop(t *testing.T, c *cloud.Cloud, user string) *laptop {
	t.Helper()
	client, err := cloud.Client(c.Driver.Kubeconfig())
	require.NoError(t, err)
	secret, err := client.CoreV1().Secrets("homecloud").Get(t.Context(), "homecloud-users", metav1.GetOptions{})
	require.NoError(t, err)
	require.NotEmpty(t, secret.Data[user], "no password for %s", user)
	auth := filepath.Join(t.TempDir(), user)
	require.NoError(t, os.WriteFile(auth, fmt.Appendf(nil, "username = %s\npassword = %s\n", user, secret.Data[user]), 0o600))
	return &laptop{cloud: c, auth: auth}
}

// smb runs smbclient's own commands on a share.
func (l *laptop) smb(ctx context.Context, address, share, commands string) (string, error) {
	command := l.cloud.Driver.LAN(ctx, "smbclient", "//"+address+"/"+share, "-A", l.auth, "-t", "10", "-c", commands)
	output, err := command.CombinedOutput()
	if err != nil {
		return string(output), fmt.Errorf("%s: %w: %s", command, err, output)
	}
	return string(output), nil
}

// stay opens a connection to a share and keeps it. The result lists the share through it, once.
func (l *laptop) stay(t *testing.T, address, share string) (list func() (output string)) {
	t.Helper()
	// To a pipe, smbclient writes only at its end.
	command := l.cloud.Driver.LAN(t.Context(), "stdbuf", "-o0", "smbclient", "//"+address+"/"+share, "-A", l.auth, "-t", "10")
	input, err := command.StdinPipe()
	require.NoError(t, err)
	output := &lockedBuffer{}
	command.Stdout, command.Stderr = output, output
	require.NoError(t, command.Start())
	ended := make(chan error, 1)
	go func() { ended <- command.Wait() }()
	t.Cleanup(func() { _ = command.Process.Kill() })
	answer := func() string {
		before := len(output.String())
		if _, err := io.WriteString(input, "ls\n"); err != nil {
			return "NT_STATUS_CONNECTION_DISCONNECTED: smbclient has ended"
		}
		text := ""
		eventually(t, "smbclient answers", func(context.Context) error {
			text = output.String()[before:]
			if strings.Contains(text, "blocks available") || strings.Contains(text, "NT_STATUS") || len(ended) > 0 {
				return nil
			}
			return fmt.Errorf("it says %q", text)
		})
		return text
	}
	require.Contains(t, answer(), "blocks available")
	return answer
}

// lockedBuffer is written by one goroutine and read by another.
type lockedBuffer struct {
	lock   sync.Mutex
	buffer strings.Builder
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.lock.Lock()
	defer b.lock.Unlock()
	return b.buffer.Write(p)
}

func (b *lockedBuffer) String() string {
	b.lock.Lock()
	defer b.lock.Unlock()
	return b.buffer.String()
}

// put copies a local file to a share.
func (l *laptop) put(ctx context.Context, address, share, local, remote string) error {
	_, err := l.smb(ctx, address, share, fmt.Sprintf(`put "%s" "%s"`, local, remote))
	return err
}

// get reads a file of a share.
func (l *laptop) get(ctx context.Context, address, share, remote string) (string, error) {
	file, err := os.CreateTemp("", "smb-get-")
	if err != nil {
		return "", err
	}
	file.Close()
	defer os.Remove(file.Name())
	if _, err := l.smb(ctx, address, share, fmt.Sprintf(`get "%s" "%s"`, remote, file.Name())); err != nil {
		return "", err
	}
	content, err := os.ReadFile(file.Name())
	return string(content), err
}

// nfsRead reads a file as a console does: by NFS, with libnfs' own client.
func nfsRead(ctx context.Context, c *cloud.Cloud, address, export, name string) (string, error) {
	command := c.Driver.LAN(ctx, "nfs-cat", fmt.Sprintf("nfs://%s/%s/%s?version=4", address, export, name))
	var stderr strings.Builder
	command.Stderr = &stderr
	content, err := command.Output()
	if err != nil {
		return "", fmt.Errorf("%s: %w: %s", command, err, stderr.String())
	}
	return string(content), nil
}

// board runs a shell line on a board and returns what it printed.
func board(ctx context.Context, t *testing.T, c *cloud.Cloud, node, line string) string {
	t.Helper()
	output, err := c.Driver.Board(ctx, node, "sh", "-c", line).CombinedOutput()
	require.NoError(t, err, "%s on %s: %s", line, node, output)
	return strings.TrimSpace(string(output))
}

// localFile writes a file to put somewhere.
func localFile(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(path, []byte(content), 0o644))
	return path
}
