// Command cloud is `make up`, `make status` and `make down`: homecloud on a
// cluster of this machine, for trying it out. CLOUD names it, for a second one
// beside the first.
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/tmorin/homecloud/test/cloud"
)

// Exit codes, the same as those of the project's other commands.
const (
	exitFailed      = 1
	exitInterrupted = 130
	exitTerminated  = 143
)

func main() { os.Exit(execute(os.Args[1:])) }

// execute runs a command, says what went wrong, and returns the exit code.
func execute(arguments []string) int {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	ctx, cancel := context.WithCancelCause(context.Background())
	// Whoever interrupts again doesn't want to wait.
	go func() { cancel(signalError{<-signals}); signal.Stop(signals) }()
	err := run(ctx, arguments)
	var caught signalError
	switch {
	case err == nil:
		return 0
	case errors.As(context.Cause(ctx), &caught):
		fmt.Fprintln(os.Stderr, interrupted(strings.Join(arguments, " "), os.Getenv("CLOUD")))
		if caught.Signal == syscall.SIGTERM {
			return exitTerminated
		}
		return exitInterrupted
	default:
		fmt.Fprintln(os.Stderr, err)
		return exitFailed
	}
}

type signalError struct{ os.Signal }

func (s signalError) Error() string { return s.String() }

// interrupted says how to go on.
func interrupted(command, cloud string) string {
	if cloud != "" {
		cloud = " CLOUD=" + cloud
	}
	switch command {
	case "up":
		return fmt.Sprintf("interrupted; `make up%[1]s` goes on, `make down%[1]s` cleans up", cloud)
	case "down":
		return fmt.Sprintf("interrupted; `make down%s` goes on", cloud)
	default:
		return "interrupted"
	}
}

func run(ctx context.Context, arguments []string) error {
	if len(arguments) != 1 {
		return fmt.Errorf("usage: cloud up|status|down")
	}
	root, err := cloud.Checkout()
	if err != nil {
		return err
	}
	name := cmp.Or(os.Getenv("CLOUD"), "home")
	state, err := stateDir(name)
	if err != nil {
		return err
	}
	lab := &cloud.Lab{Binary: filepath.Join(root, "bin", "lab"), Name: name, Dir: filepath.Join(state, "lab"), Count: 2}
	c := &cloud.Cloud{Driver: lab, Root: root, Dir: state}
	switch arguments[0] {
	case "up":
		return up(ctx, c)
	case "status":
		return status(ctx, c, lab)
	case "down":
		return down(ctx, c, state)
	default:
		return fmt.Errorf("%q: write up, status or down", arguments[0])
	}
}

// stateDir is where a cloud of `make up` is kept.
func stateDir(name string) (string, error) {
	if dir := os.Getenv("XDG_STATE_HOME"); dir != "" {
		return filepath.Join(dir, "homecloud", name), nil
	}
	home, err := os.UserHomeDir()
	return filepath.Join(home, ".local", "state", "homecloud", name), err
}

func up(ctx context.Context, c *cloud.Cloud) error {
	steps := &cloud.Steps{Out: os.Stderr}
	var report string
	for _, step := range []struct {
		name string
		do   func() error
	}{
		{"build hcchart, the agent and the lab", func() error { return c.Make(ctx, "build", "bin/lab") }},
		{"build the images (cached by content)", func() error { return c.Make(ctx, "images") }},
		{"start a cluster of two boards", func() error { return c.Driver.Up(ctx) }},
		{"load the images on the boards", func() error { return c.LoadImages(ctx) }},
		{"write the cluster file", func() error {
			if _, err := os.Stat(c.File()); err == nil {
				return nil // somebody may have edited it
			}
			example, err := c.Example("two-boards.yaml")
			if err != nil {
				return err
			}
			return c.WriteFile(example)
		}},
		{"prepare the boards", func() error { return c.Prepare(ctx) }},
		{"install homecloud", func() (err error) { report, err = c.Install(ctx); return err }},
	} {
		if err := steps.Do(step.name, step.do); err != nil {
			return err
		}
	}
	fmt.Fprintln(os.Stderr, steps.Summary())
	fmt.Printf(`%s
The cluster file is %s, the kubeconfig %s. To change the cloud, edit the file and run make up again, or
only hcchart. Without these --values it takes images that this machine doesn't have:
  %s
A machine of the family's network:  %s lan -- smbclient -L //10.77.0.11 -U alice
Alice's password:                   %s
What to try next:                   docs/tutorial/first-cloud.md
`, report, c.File(), c.Driver.Kubeconfig(), upCommand(c), labCommand(c), passwordCommand(c))
	return nil
}

func labCommand(c *cloud.Cloud) string {
	lab := c.Driver.(*cloud.Lab)
	return fmt.Sprintf("bin/lab --name %s --dir %s", lab.Name, lab.Dir)
}

func upCommand(c *cloud.Cloud) string {
	return fmt.Sprintf("KUBECONFIG=%s SOPS_AGE_KEY_FILE=%s bin/hcchart -f %s up --values %s", c.Driver.Kubeconfig(), c.AgeKey(), c.File(), c.ImageValues())
}

func passwordCommand(c *cloud.Cloud) string {
	return fmt.Sprintf("SOPS_AGE_KEY_FILE=%s bin/hcchart -f %s secrets get users.alice", c.AgeKey(), c.File())
}

func status(ctx context.Context, c *cloud.Cloud, lab *cloud.Lab) error {
	command := exec.CommandContext(ctx, lab.Binary, "--name", lab.Name, "--dir", lab.Dir, "status")
	command.Stdout, command.Stderr = os.Stdout, os.Stderr
	if err := command.Run(); err != nil {
		return err
	}
	if _, err := os.Stat(c.Driver.Kubeconfig()); errors.Is(err, fs.ErrNotExist) {
		return nil // it isn't up, and the lab has said so
	}
	return c.PrintStatus(ctx, os.Stdout)
}

// down takes the lab away and its disks with it; the cluster file and its secrets go too.
func down(ctx context.Context, c *cloud.Cloud, state string) error {
	if err := c.Make(ctx, "bin/lab"); err != nil {
		return err
	}
	if err := c.Driver.Down(ctx); err != nil {
		return err
	}
	if err := os.RemoveAll(state); err != nil {
		return err
	}
	_ = os.Remove(filepath.Dir(state)) // unless there is another cloud in it
	return nil
}
