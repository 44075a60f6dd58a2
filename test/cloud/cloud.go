package cloud

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"
)

// Cloud is a cluster with homecloud on it.
type Cloud struct {
	Driver Driver
	Root   string // the checkout: binaries in bin/, images in dist/images
	Dir    string // where the cluster file, its secrets and the age key lie
}

// Checkout finds the root of the checkout from the working directory.
func Checkout() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for ; dir != "/"; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "charts", "homecloud")); err == nil {
			return dir, nil
		}
	}
	return "", errors.New("not inside a checkout of homecloud")
}

// File is the path of the cluster file.
func (c *Cloud) File() string { return filepath.Join(c.Dir, "homecloud.yaml") }

// AgeKey is the path of the key that opens the secrets file.
func (c *Cloud) AgeKey() string { return filepath.Join(c.Dir, "age-key.txt") }

// Make runs targets of the checkout's Makefile; its progress goes to standard error.
func (c *Cloud) Make(ctx context.Context, targets ...string) error {
	command := interruptible(exec.CommandContext(ctx, "make", append([]string{"--no-print-directory", "-C", c.Root}, targets...)...))
	command.Stdout, command.Stderr = os.Stderr, os.Stderr
	if err := command.Run(); err != nil {
		return fmt.Errorf("make %s: %w", strings.Join(targets, " "), err)
	}
	return nil
}

// Binary is the path of a program of the checkout.
func (c *Cloud) Binary(name string) string { return filepath.Join(c.Root, "bin", name) }

// LoadImages puts the images of dist/images on every board.
func (c *Cloud) LoadImages(ctx context.Context) error {
	archives, err := filepath.Glob(filepath.Join(c.Root, "dist", "images", "*.tar"))
	if err != nil {
		return err
	}
	if len(archives) == 0 {
		return errors.New("dist/images holds no archive: run `make images`")
	}
	return c.Driver.Load(ctx, archives...)
}

// clusterFile is what preparing boards needs to know of the cluster file.
type clusterFile struct {
	Name  string `json:"name"`
	Nodes []struct {
		Name  string `json:"name"`
		Disks []struct {
			Name string `json:"name"`
		} `json:"disks"`
	} `json:"nodes"`
}

// Prepare does on each board of the cluster file what hostprep will do: adopt
// the data disk and label the node. Doing it again changes nothing.
func (c *Cloud) Prepare(ctx context.Context) error {
	content, err := os.ReadFile(c.File())
	if err != nil {
		return err
	}
	var file clusterFile
	if err := yaml.Unmarshal(content, &file); err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	for _, node := range file.Nodes {
		group.Go(func() error {
			for _, disk := range node.Disks {
				if err := c.Adopt(ctx, node.Name, file.Name, disk.Name); err != nil {
					return err
				}
			}
			return c.label(ctx, node.Name)
		})
	}
	return group.Wait()
}

// agentOnBoard is where a board keeps the agent's binary.
const agentOnBoard = "/opt/homecloud/homecloud-agent"

// Adopt writes a disk's sentinel and folders with the product's own code.
func (c *Cloud) Adopt(ctx context.Context, node, cluster, disk string, more ...string) error {
	agent, err := os.Open(c.Binary("homecloud-agent"))
	if err != nil {
		return err
	}
	defer agent.Close()
	// Written beside and renamed: the file may be running.
	push := c.Driver.Board(ctx, node, "sh", "-c", "mkdir -p /opt/homecloud && cat >$0.new && chmod 755 $0.new && mv $0.new $0", agentOnBoard)
	push.Stdin = agent
	if err := run(push); err != nil {
		return err
	}
	return run(c.Driver.Board(ctx, node, append([]string{agentOnBoard, "disk", "adopt", "--path", mountPoint(disk),
		"--cluster", cluster, "--disk", disk, "--node", node, "--owner", "2000:2000"}, more...)...))
}

func (c *Cloud) label(ctx context.Context, node string) error {
	client, err := Client(c.Driver.Kubeconfig())
	if err != nil {
		return err
	}
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"labels": map[string]string{"homecloud/dnas": "true"}}})
	if err != nil {
		return err
	}
	_, err = client.CoreV1().Nodes().Patch(ctx, node, types.MergePatchType, patch, metav1.PatchOptions{})
	return err
}

// HCChart returns hcchart as the administrator of this cloud runs it.
func (c *Cloud) HCChart(ctx context.Context, arguments ...string) *exec.Cmd {
	// Killed, it would leave its lock on the cluster for half a minute.
	command := interruptible(exec.CommandContext(ctx, c.Binary("hcchart"), arguments...))
	command.Dir = c.Dir
	command.Env = append(os.Environ(), "KUBECONFIG="+c.Driver.Kubeconfig(), "SOPS_AGE_KEY_FILE="+c.AgeKey())
	return command
}

// ImageValues are the values that put the images of dist/images in the place of the published ones.
func (c *Cloud) ImageValues() string { return filepath.Join(c.Root, "dist", "images", "values.yaml") }

// Install installs homecloud and returns what hcchart says of where it is; its
// progress goes to standard error.
func (c *Cloud) Install(ctx context.Context) (string, error) {
	command := c.HCChart(ctx, "up", "--values", c.ImageValues())
	command.Stderr = os.Stderr
	addresses, err := command.Output()
	if err != nil {
		return "", fmt.Errorf("%s: %w", command, err)
	}
	return string(addresses), nil
}

// WriteFile writes the cluster file unless it is there with the same content,
// from one of examples/, with the nodes' names and addresses put in.
func (c *Cloud) WriteFile(content string) error {
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return err
	}
	old, err := os.ReadFile(c.File())
	if err == nil && string(old) == content {
		return nil
	}
	return os.WriteFile(c.File(), []byte(content), 0o600)
}

// Example reads a file of examples/.
func (c *Cloud) Example(name string) (string, error) {
	content, err := os.ReadFile(filepath.Join(c.Root, "examples", name))
	return string(content), err
}

// ForNodes puts a driver's boards in the place of the example's: the lab's
// names and addresses need no change.
func ForNodes(example string, nodes []Node) string {
	replace := make([]string, 0, 4*len(nodes))
	for i, node := range nodes {
		replace = append(replace, fmt.Sprintf("node-%d", i+1), node.Name, fmt.Sprintf("10.77.0.%d", 11+i), node.Address)
	}
	if len(nodes) > 0 {
		prefix := node24(nodes[0].Address)
		replace = append(replace, "10.77.0.", prefix)
	}
	return strings.NewReplacer(replace...).Replace(example)
}

// node24 is the first three bytes of an address, with the dot: examples assume a /24.
func node24(address string) string {
	return address[:strings.LastIndex(address, ".")+1]
}
