// Package cloud brings up the clouds that people try and scenarios break: a
// cluster from a driver, images, boards prepared as hostprep prepares them, and
// homecloud installed by hcchart. It knows nothing of how a cluster is made.
package cloud

import (
	"context"
	"fmt"
	"os/exec"
)

// Driver makes a cluster whose nodes have the names and addresses that a
// cluster file gives them, or tells which ones they have.
type Driver interface {
	// Up makes the cluster, or completes what is there.
	Up(ctx context.Context) error
	// Kubeconfig is the path of the cluster's kubeconfig.
	Kubeconfig() string
	// Nodes lists the boards. Valid after Up.
	Nodes(ctx context.Context) ([]Node, error)
	// Load puts images, as docker archives, on every board.
	Load(ctx context.Context, archives ...string) error
	// Board returns a command that runs as root on a board.
	Board(ctx context.Context, node string, command ...string) *exec.Cmd
	// LAN returns a command that runs on another machine of the same network: a laptop, a phone, a console.
	LAN(ctx context.Context, command ...string) *exec.Cmd
	// Down takes away what Up made.
	Down(ctx context.Context) error
}

// Node is a board as the cluster knows it.
type Node struct{ Name, Address string }

// Faults is what a driver may be able to do to its boards beside making them.
type Faults interface {
	// KillNode cuts a board's power.
	KillNode(ctx context.Context, node string) error
	// StartNode gives it back.
	StartNode(ctx context.Context, node string) error
	// DetachDisk pulls a disk under load: what holds it open gets I/O errors.
	DetachDisk(ctx context.Context, node, disk string) error
	// AttachDisk plugs the same disk in again, with its data.
	AttachDisk(ctx context.Context, node, disk string) error
}

// run runs a command; an error carries the command and what it said.
func run(command *exec.Cmd) error {
	if output, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", command, err, output)
	}
	return nil
}
