package cloud

import (
	"context"
	_ "embed" // the script that attaches a disk
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
)

// containers are boards that run as containers of Docker, in a cluster that
// somebody else makes: kind or k3d. Their data disks are images in Disks, a
// folder of this machine that every board sees as /disks.
type containers struct{ Disks string }

// diskSize is the size of a board's data disk, in bytes; the image is sparse.
const diskSize = 4 << 30

// attachScript mounts $1, an image, at $2.
//
//go:embed attach.sh
var attachScript string

// Board implements part of [Driver]. Docker hands on the standard input with -i, and to a pipe as it is without -t.
func (c containers) Board(ctx context.Context, node string, command ...string) *exec.Cmd {
	return exec.CommandContext(ctx, "docker", append([]string{"exec", "-i", node}, command...)...)
}

// LAN implements part of [Driver]: this machine itself is on Docker's bridge.
func (c containers) LAN(ctx context.Context, command ...string) *exec.Cmd {
	return exec.CommandContext(ctx, command[0], command[1:]...)
}

// KillNode implements part of [Faults]. Docker doesn't restart what was killed by hand.
func (c containers) KillNode(ctx context.Context, node string) error {
	return run(exec.CommandContext(ctx, "docker", "kill", node))
}

// StartNode implements part of [Faults]: the board comes back with the disk if it had it.
func (c containers) StartNode(ctx context.Context, node string) error {
	if err := run(exec.CommandContext(ctx, "docker", "start", node)); err != nil {
		return err
	}
	if _, err := os.Stat(c.image(node, "data")); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return c.mount(ctx, node, "data")
}

// DetachDisk implements part of [Faults]. The file system is unmounted under
// what holds it open; unlike the lab's, it answers those that do until they let
// go. The image moves away with it, so that a restarted board doesn't find it.
func (c containers) DetachDisk(ctx context.Context, node, disk string) error {
	if err := run(c.Board(ctx, node, "umount", "-l", mountPoint(disk))); err != nil {
		return err
	}
	return os.Rename(c.image(node, disk), c.image(node, disk)+".detached")
}

// AttachDisk implements part of [Faults].
func (c containers) AttachDisk(ctx context.Context, node, disk string) error {
	if err := os.Rename(c.image(node, disk)+".detached", c.image(node, disk)); err != nil {
		return err
	}
	return c.mount(ctx, node, disk)
}

// addDisks gives every board its data disk, as soon as the API knows all of them.
func (c containers) addDisks(ctx context.Context, list func(context.Context) ([]Node, error), count int) error {
	nodes, err := registered(ctx, list, count)
	if err != nil {
		return err
	}
	for _, node := range nodes {
		if err := c.addDisk(ctx, node.Name, "data"); err != nil {
			return err
		}
	}
	return nil
}

// addDisk makes a board's disk unless it has one, and mounts it unless it is detached.
func (c containers) addDisk(ctx context.Context, node, disk string) error {
	image := c.image(node, disk)
	if _, err := os.Stat(image + ".detached"); err == nil {
		return nil
	}
	if _, err := os.Stat(image); errors.Is(err, fs.ErrNotExist) {
		if err := makeDisk(ctx, image); err != nil {
			return fmt.Errorf("making a disk for %s: %w", node, err)
		}
	}
	return c.mount(ctx, node, disk)
}

func (c containers) mount(ctx context.Context, node, disk string) error {
	return run(c.Board(ctx, node, "sh", "-c", attachScript, "sh", "/disks/"+filepath.Base(c.image(node, disk)), mountPoint(disk)))
}

// image is a disk's image. Its name is one that no other board's has: loop
// devices are the kernel's, and known by the path of their file.
func (c containers) image(node, disk string) string { return filepath.Join(c.Disks, node+"-"+disk) }

// makeDisk writes an ext4 image, under another name until it is whole.
func makeDisk(ctx context.Context, image string) error {
	file, err := os.Create(image + ".new")
	if err != nil {
		return err
	}
	defer file.Close()
	if err := file.Truncate(diskSize); err != nil {
		return err
	}
	if err := run(exec.CommandContext(ctx, "mkfs.ext4", "-q", "-F", file.Name())); err != nil {
		return err
	}
	return os.Rename(file.Name(), image)
}

// registered waits until the API knows every board with its address: the
// makers of clusters wait for the control plane only.
func registered(ctx context.Context, list func(context.Context) ([]Node, error), count int) ([]Node, error) {
	var nodes []Node
	err := wait.PollUntilContextTimeout(ctx, time.Second, 2*time.Minute, true, func(ctx context.Context) (bool, error) {
		var err error
		if nodes, err = list(ctx); err != nil {
			return false, err
		}
		known := slices.IndexFunc(nodes, func(node Node) bool { return node.Address == "" }) < 0
		return known && len(nodes) >= count, nil
	})
	if err != nil {
		return nil, fmt.Errorf("the cluster has the boards %v, not %d with an address: %w", nodes, count, err)
	}
	return nodes, nil
}

func mountPoint(disk string) string { return "/srv/homecloud/" + disk }
