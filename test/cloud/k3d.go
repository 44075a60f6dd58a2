package cloud

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// K3d drives a k3d cluster on a machine with Docker: one server and Count
// boards. The cluster is made by the program of test/e2e/k3d, a module of its
// own, because what k3d links doesn't agree with what Helm links.
type K3d struct {
	containers
	Binary string
	Name   string
	Dir    string // kubeconfig and disk images
	Count  int
}

var (
	_ Driver = (*K3d)(nil)
	_ Faults = (*K3d)(nil)
)

// NewK3d returns a driver that runs binary and keeps its files in dir.
func NewK3d(binary, name, dir string, count int) *K3d {
	return &K3d{containers: containers{Disks: filepath.Join(dir, "disks")}, Binary: binary, Name: name, Dir: dir, Count: count}
}

// Up implements [Driver].
func (k *K3d) Up(ctx context.Context) error {
	if err := os.MkdirAll(k.Disks, 0o755); err != nil {
		return err
	}
	if err := k.do(ctx, "up", "--boards", strconv.Itoa(k.Count), "--disks", k.Disks); err != nil {
		return err
	}
	if err := k.do(ctx, "kubeconfig", "--out", k.Kubeconfig()); err != nil {
		return err
	}
	return k.addDisks(ctx, k.Nodes, k.Count)
}

// Kubeconfig implements [Driver].
func (k *K3d) Kubeconfig() string { return filepath.Join(k.Dir, "kubeconfig") }

// Nodes implements [Driver]: the boards are k3d's agents.
func (k *K3d) Nodes(ctx context.Context) ([]Node, error) {
	nodes, err := clusterNodes(ctx, k.Kubeconfig())
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(nodes, func(node Node) bool { return strings.Contains(node.Name, "-server-") }), nil
}

// Load implements [Driver].
func (k *K3d) Load(ctx context.Context, archives ...string) error {
	return k.do(ctx, append([]string{"load"}, archives...)...)
}

// Down implements [Driver].
func (k *K3d) Down(ctx context.Context) error {
	if err := k.do(ctx, "down"); err != nil {
		return err
	}
	return errors.Join(os.RemoveAll(k.Disks), os.RemoveAll(k.Kubeconfig()))
}

// do runs the program; its progress is ours.
func (k *K3d) do(ctx context.Context, arguments ...string) error {
	command := exec.CommandContext(ctx, k.Binary, append(arguments[:1:1], append([]string{"--name", k.Name}, arguments[1:]...)...)...)
	command.Stdout, command.Stderr = os.Stderr, os.Stderr
	if err := command.Run(); err != nil {
		return fmt.Errorf("%s: %w", command, err)
	}
	return nil
}
