package e2e

import (
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tmorin/homecloud/test/cloud"
)

// TestCoreTutorial goes through docs/tutorial/first-cloud.md as its reader does,
// with a cloud of another name than the reader's own: up, up again, the
// commands of the page, down, and nothing is left.
func TestCoreTutorial(t *testing.T) {
	if driver := os.Getenv("DRIVER"); driver != "" && driver != "lab" {
		t.Skip("the tutorial is about the offline cluster")
	}
	if os.Geteuid() != 0 {
		t.Skip("the lab makes namespaces and mounts: run the tests as root")
	}
	root, err := cloud.Checkout()
	require.NoError(t, err)
	page, err := os.ReadFile(filepath.Join(root, "docs", "tutorial", "first-cloud.md"))
	require.NoError(t, err)
	var blocks []string
	for _, match := range regexp.MustCompile("(?s) +```sh\n(.*?) +```").FindAllStringSubmatch(string(page), -1) {
		blocks = append(blocks, strings.NewReplacer("homecloud/home", "homecloud/tutorial", "--name home", "--name tutorial").Replace(match[1]))
	}
	require.Len(t, blocks, 6)
	require.Equal(t, []string{"make up", "make down"}, []string{strings.TrimSpace(blocks[0]), strings.TrimSpace(blocks[5])})

	r := &reader{root: root, state: t.TempDir()}
	before := traces(t, r.state)
	t.Cleanup(func() { _, _ = r.do(context.Background(), "make down") }) // whatever failed
	_, err = r.do(t.Context(), blocks[0])
	require.NoError(t, err)

	start := time.Now()
	output, err := r.do(t.Context(), blocks[0])
	require.NoError(t, err)
	t.Logf("make up, again: %.1fs", time.Since(start).Seconds())
	require.Contains(t, output, "nothing to change: what is installed is what the file says")

	output, err = r.do(t.Context(), strings.Join(blocks[1:5], "\n"))
	require.NoError(t, err)
	require.Contains(t, output, "a game\n", "what nfs-cat read")
	require.Equal(t, 3, strings.Count(output, "  game.nes  "), "SMB lists it from the first board, from the second, and from the virtual address")

	_, err = r.do(t.Context(), blocks[5])
	require.NoError(t, err)
	require.NoDirExists(t, filepath.Join(r.state, "homecloud"))
	require.Equal(t, before, traces(t, r.state))
}

// reader runs commands of a page, from the checkout, as a person would: what
// isn't there yet is looked for again.
type reader struct{ root, state string }

func (r *reader) do(ctx context.Context, commands string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	script := "set -eu\n" + regexp.MustCompile(`(?m)^\s*(\$lab lan .*)$`).ReplaceAllString(commands, "until $1; do sleep 0.5; done")
	shell := exec.CommandContext(ctx, "bash", "-c", script)
	shell.Dir = r.root
	shell.Env = slices.DeleteFunc(os.Environ(), func(variable string) bool { return strings.HasPrefix(variable, "MAKE") })
	shell.Env = append(shell.Env, "XDG_STATE_HOME="+r.state, "CLOUD=tutorial")
	var output strings.Builder
	shell.Stdout = io.MultiWriter(os.Stderr, &output)
	shell.Stderr = shell.Stdout
	err := shell.Run()
	return output.String(), err
}

// traces are what a cluster with its state in a folder could leave on the
// machine. What lies in other temporary folders belongs to other tests, which
// may run at the same time.
func traces(t *testing.T, state string) string {
	t.Helper()
	output, err := exec.CommandContext(t.Context(), "sh", "-c", `
cut -d' ' -f2,3 /proc/mounts | sort
ls /sys/class/net /run/netns /var/run/docker/netns 2>/dev/null
losetup --list --noheadings --output NAME,BACK-FILE
find /sys/fs/cgroup -type d -name '*lab*'
pgrep -a -f 'name tutorial|init-node|/opt/lab' | grep -v pgrep
sysctl --all 2>/dev/null | grep -E 'forward|bridge-nf|rp_filter|inotify' | sort`).Output()
	require.NoError(t, err)
	lines := slices.DeleteFunc(strings.Split(string(output), "\n"), func(line string) bool {
		return strings.Contains(line, os.TempDir()+"/") && !strings.Contains(line, state)
	})
	return strings.Join(lines, "\n")
}
