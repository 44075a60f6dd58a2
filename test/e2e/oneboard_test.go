package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/tmorin/homecloud/test/cloud"
)

// TestCoreOneBoard goes through README as its reader does, on one board: first
// with hcchart alone, then with Helm, both majors, on the data that is there.
func TestCoreOneBoard(t *testing.T) {
	c := newCloud(t, "one", 1)
	nodes, err := c.Driver.Nodes(t.Context())
	require.NoError(t, err)
	require.NoError(t, os.MkdirAll(c.Dir, 0o700))
	box := nodes[0]

	t.Run("hcchart", func(t *testing.T) {
		runReadme(t, c, "users", box, func() { require.NoError(t, c.Prepare(t.Context())) })
		alice := newLaptop(t, c, "alice")
		photo := localFile(t, "p", "a photo of one board")
		eventually(t, "alice puts a photo", func(ctx context.Context) error {
			return alice.put(ctx, box.Address, "photos", photo, "p.jpg")
		})

		// The example says the same as what init wrote: nothing changes.
		before := snapshot(t, c)
		example, err := c.Example("one-board.yaml")
		require.NoError(t, err)
		example = strings.NewReplacer("name: box", "name: "+box.Name, "address: box.local", "address: "+box.Address).Replace(example)
		require.NoError(t, c.WriteFile(example))
		_, err = c.Install(t.Context())
		require.NoError(t, err)
		require.Equal(t, before, snapshot(t, c))

		said, err := c.HCChart(t.Context(), "down", "--yes").CombinedOutput()
		require.NoError(t, err, "%s", said)
	})
	for _, helm := range []string{"helm3", "helm4"} {
		t.Run(helm, func(t *testing.T) {
			forget(t, c, "homecloud")
			installByHelm(t, c, helm, box)
			alice := newLaptop(t, c, "alice")
			eventually(t, "the photo is still there", func(ctx context.Context) error {
				content, err := alice.get(ctx, box.Address, "photos", "p.jpg")
				if err == nil && content != "a photo of one board" {
					return fmt.Errorf("read %q", content)
				}
				return err
			})
		})
	}
}

// forget deletes a namespace, so that what follows begins as on a new cluster.
func forget(t *testing.T, c *cloud.Cloud, namespace string) {
	t.Helper()
	client, err := cloud.Client(c.Driver.Kubeconfig())
	require.NoError(t, err)
	require.NoError(t, client.CoreV1().Namespaces().Delete(t.Context(), namespace, metav1.DeleteOptions{}))
	eventually(t, "the namespace "+namespace+" is gone", func(ctx context.Context) error {
		_, err := client.CoreV1().Namespaces().Get(ctx, namespace, metav1.GetOptions{})
		if err == nil {
			return errors.New("it is still there")
		}
		return client.RESTClient().Get().AbsPath("/readyz").Do(ctx).Error()
	})
}

func installByHelm(t *testing.T, c *cloud.Cloud, helm string, box cloud.Node) {
	// README says "helm": both majors answer to that name here.
	bin := t.TempDir()
	require.NoError(t, os.Symlink(c.Binary(helm), filepath.Join(bin, "helm")))
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	runReadme(t, c, "helm", box, func() {})
	t.Cleanup(func() {
		output, err := command(context.WithoutCancel(t.Context()), c, "helm uninstall homecloud --namespace homecloud --wait").CombinedOutput()
		require.NoError(t, err, "%s", output)
	})
}

// runReadme runs a block of README line by line. Only the board's name and
// address are put in, and the images of this checkout where charts are installed.
func runReadme(t *testing.T, c *cloud.Cloud, block string, box cloud.Node, beforeInstall func()) {
	t.Helper()
	readme, err := os.ReadFile(filepath.Join(c.Root, "README.md"))
	require.NoError(t, err)
	match := regexp.MustCompile("(?s)<!-- executed by test/e2e: " + block + " -->\n```sh\n(.*?)```").FindSubmatch(readme)
	require.NotNil(t, match, "README has no block %q", block)
	lines := strings.Split(strings.TrimSpace(string(match[1])), "\n")
	for i, line := range lines {
		if i == len(lines)-1 {
			beforeInstall()
		}
		line = strings.NewReplacer("box=192.168.1.20", box.Name+"="+box.Address,
			"hcchart up", "hcchart up --values "+c.ImageValues(),
			"--values -", "--values - --values "+c.ImageValues()+" --wait --timeout 3m").Replace(line)
		output, err := command(t.Context(), c, line).CombinedOutput()
		require.NoError(t, err, "$ %s\n%s", line, output)
		t.Logf("$ %s\n%s", line, output)
	}
}

// command runs a line of shell as the administrator of a cloud.
func command(ctx context.Context, c *cloud.Cloud, line string) *exec.Cmd {
	shell := c.HCChart(ctx)
	shell.Path, shell.Args = "/bin/sh", []string{"sh", "-c", line}
	shell.Env = append(shell.Env, "PATH="+filepath.Join(c.Root, "bin")+":"+os.Getenv("PATH"))
	return shell
}
