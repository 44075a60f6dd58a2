package cloud

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
)

// Lab drives the offline cluster of test/lab.
type Lab struct {
	Binary string // the lab command
	Name   string // several labs can run at once
	Dir    string // its state
	Count  int    // boards
}

var (
	_ Driver = (*Lab)(nil)
	_ Faults = (*Lab)(nil)
)

// Up implements [Driver].
func (l *Lab) Up(ctx context.Context) error {
	up := interruptible(l.command(ctx, "up", "--nodes", strconv.Itoa(l.Count)))
	up.Stdout, up.Stderr = os.Stderr, os.Stderr // its progress is ours
	if err := up.Run(); err != nil {
		return fmt.Errorf("lab up: %w", err)
	}
	content, err := l.command(ctx, "kubeconfig").Output()
	if err != nil {
		return fmt.Errorf("lab kubeconfig: %w", err)
	}
	return os.WriteFile(l.Kubeconfig(), content, 0o600)
}

// Kubeconfig implements [Driver].
func (l *Lab) Kubeconfig() string { return filepath.Join(l.Dir, "kubeconfig") }

// Nodes implements [Driver].
func (l *Lab) Nodes(context.Context) ([]Node, error) {
	nodes := make([]Node, l.Count)
	for i := range nodes {
		nodes[i] = Node{Name: fmt.Sprintf("node-%d", i+1), Address: fmt.Sprintf("10.77.0.%d", 11+i)}
	}
	return nodes, nil
}

// Load implements [Driver].
func (l *Lab) Load(ctx context.Context, archives ...string) error {
	return run(interruptible(l.command(ctx, append([]string{"load"}, archives...)...)))
}

// Board implements [Driver].
func (l *Lab) Board(ctx context.Context, node string, command ...string) *exec.Cmd {
	return l.command(ctx, append([]string{"exec", node, "--"}, command...)...)
}

// LAN implements [Driver].
func (l *Lab) LAN(ctx context.Context, command ...string) *exec.Cmd {
	return l.command(ctx, append([]string{"lan", "--"}, command...)...)
}

// Down implements [Driver].
func (l *Lab) Down(ctx context.Context) error {
	return run(interruptible(l.command(ctx, "down")))
}

// KillNode implements [Faults].
func (l *Lab) KillNode(ctx context.Context, node string) error {
	return run(l.command(ctx, "node", "kill", node))
}

// StartNode implements [Faults].
func (l *Lab) StartNode(ctx context.Context, node string) error {
	return run(l.command(ctx, "node", "start", node))
}

// DetachDisk implements [Faults].
func (l *Lab) DetachDisk(ctx context.Context, node, disk string) error {
	return run(l.command(ctx, "disk", "detach", node, disk))
}

// AttachDisk implements [Faults].
func (l *Lab) AttachDisk(ctx context.Context, node, disk string) error {
	return run(l.command(ctx, "disk", "attach", node, disk))
}

func (l *Lab) command(ctx context.Context, arguments ...string) *exec.Cmd {
	return exec.CommandContext(ctx, l.Binary, append([]string{"--name", l.Name, "--dir", l.Dir}, arguments...)...)
}
