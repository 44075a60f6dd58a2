// Command k3d-driver makes a k3s cluster in containers by k3d's own library.
// It is the program behind DRIVER=k3d, see K3d in test/cloud, and a module of
// its own because the modules that k3d needs don't agree with Helm's.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/k3d-io/k3d/v5/version"
)

const usage = `usage:
  k3d-driver up         [--name NAME] --disks FOLDER [--boards N]
  k3d-driver kubeconfig [--name NAME] --out FILE
  k3d-driver load       [--name NAME] ARCHIVE...
  k3d-driver down       [--name NAME]`

func main() {
	// k3d takes its helper image's tag from its own build; a library has none and would take "latest".
	version.HelperVersionOverride = "5.9.0"
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "k3d-driver:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, arguments []string) error {
	if len(arguments) == 0 {
		return errors.New(usage)
	}
	flags := flag.NewFlagSet("k3d-driver "+arguments[0], flag.ContinueOnError)
	name := flags.String("name", "homecloud", "the cluster's `name`")
	disks := flags.String("disks", "", "`folder` that every board sees as /disks")
	boards := flags.Int("boards", 2, "how many boards to make")
	out := flags.String("out", "", "`file` to write")
	if err := flags.Parse(arguments[1:]); err != nil {
		return err
	}
	c := cluster{name: *name, boards: *boards}
	switch verb, archives := arguments[0], flags.Args(); {
	case verb == "up" && *disks != "" && *boards > 0 && len(archives) == 0:
		var err error
		if c.disks, err = filepath.Abs(*disks); err != nil { // Docker would take a relative path for a volume's name
			return err
		}
		return c.up(ctx)
	case verb == "kubeconfig" && *out != "" && len(archives) == 0:
		return c.kubeconfig(ctx, *out)
	case verb == "load" && len(archives) > 0:
		return c.load(ctx, archives)
	case verb == "down" && len(archives) == 0:
		return c.down(ctx)
	default:
		return errors.New(usage)
	}
}
