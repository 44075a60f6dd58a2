package cluster

import (
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/tmorin/homecloud/test/lab/internal/disk"
	"github.com/tmorin/homecloud/test/lab/internal/namespace"
)

// Keep is what of a lab outlives Down.
type Keep int

const (
	// KeepImages keeps the nodes' image stores, which took time to fill.
	KeepImages Keep = iota
	// KeepAll keeps the cluster: the next Up continues it.
	KeepAll
	// KeepNothing removes the state folder.
	KeepNothing
)

// dying is how long the kernel may take to clean up after a killed namespace.
const dying = 15 * time.Second

// Down ends the lab and leaves nothing of it on the machine but its folder. It works after
// any crash, because it goes by what was recorded and not by what answers.
func (l *Lab) Down(keep Keep) error {
	done := l.step("%s is down", l.Name)
	found := l.state.LAN.Alive() || len(l.state.Groups) > 0
	if err := l.killNodes(l.state.Nodes); err != nil {
		return err
	}
	if err := l.state.LAN.Kill(dying); err != nil {
		return err
	}
	var groups errgroup.Group
	for name, g := range l.state.Groups {
		groups.Go(func() error {
			if err := g.Remove(dying); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			return nil
		})
	}
	if err := groups.Wait(); err != nil {
		return err
	}
	if err := l.freeLoops(l.state.Nodes); err != nil {
		return err
	}
	l.state.LAN, l.state.Groups = namespace.Process{}, nil
	for _, n := range l.state.Nodes {
		n.Init = namespace.Process{}
	}
	if err := l.forget(keep); err != nil {
		return err
	}
	if found {
		done()
	}
	return nil
}

// forget removes of the folder what shall not be kept.
func (l *Lab) forget(keep Keep) error {
	if keep == KeepAll {
		if len(l.state.Nodes) == 0 {
			return nil
		}
		return l.save()
	}
	for _, n := range l.state.Nodes {
		for _, d := range n.Disks {
			if err := d.Unlock(l.root(n)); err != nil {
				return err
			}
		}
	}
	remove := []string{"etcd", "pki", "nodes", "log", "run", "bin", "api-stopped", "lab.json", "lab.json.new"}
	if keep == KeepNothing || !fileExists(l.path("stores")) {
		remove = append(remove, "stores", "lock")
	}
	for _, name := range remove {
		if err := os.RemoveAll(l.path(name)); err != nil {
			return err
		}
	}
	// Empty now unless something is kept, or was never the lab's.
	_ = os.Remove(l.Dir)
	return nil
}

// killNodes takes the power from nodes, all at once.
func (l *Lab) killNodes(nodes []*node) error {
	var killing errgroup.Group
	for _, n := range nodes {
		killing.Go(func() error {
			if err := n.Init.Kill(dying); err != nil {
				return fmt.Errorf("%s: %w", n.Name, err)
			}
			// Whoever was started beside the first process, or survived it in a crash.
			if g, known := l.state.Groups[n.Name]; known {
				return g.Remove(dying)
			}
			return nil
		})
	}
	if err := killing.Wait(); err != nil {
		return err
	}
	for _, n := range nodes {
		n.Init = namespace.Process{}
	}
	return l.freeLoops(nodes)
}

// freeLoops waits for the loop devices of disks: the kernel lets go of the mounts of a
// namespace only after its last process.
func (l *Lab) freeLoops(nodes []*node) error {
	deadline := time.Now().Add(dying)
	for {
		var left []string
		for _, n := range nodes {
			for _, d := range n.Disks {
				left = append(left, disk.Loops(d.Label)...)
			}
		}
		if left == nil {
			return nil
		}
		if time.Now().After(deadline) {
			return errors.New("still in use: " + fmt.Sprint(left))
		}
		time.Sleep(10 * time.Millisecond)
	}
}
