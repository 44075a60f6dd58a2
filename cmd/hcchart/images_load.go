package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tmorin/homecloud/internal/config"
	"github.com/tmorin/homecloud/internal/imageload"
	"github.com/tmorin/homecloud/internal/imagestore"
	"github.com/tmorin/homecloud/internal/remote"
	"github.com/tmorin/homecloud/internal/term"
)

// loadFlags are the flags of images load.
type loadFlags struct {
	imagesFlags
	from, nodes            []string
	local, persist, dryRun bool
	containerd             string
}

func newImagesLoadCommand(a *app) *cobra.Command {
	var flags loadFlags
	cmd := &cobra.Command{
		Use:   "load [CHART]",
		Short: "Bring archives of images onto the boards",
		Long: `load brings what save wrote onto each board of the cluster file, without a
registry: it logs in by SSH, looks which architecture the board has and which
images are there, copies the archive when some are missing, imports it and looks
again. A copy that was cut off goes on when the command is run again.

It logs in as os.ssh of the cluster file says, with keys of the agent or of
files, only to boards that ~/.ssh/known_hosts knows; who isn't root there has to
be allowed to use sudo without a password.

Kubernetes removes images that nothing runs when a disk fills. --persist leaves
the archive in /var/lib/rancher/k3s/agent/images, where k3s imports it again
whenever it starts.

--local loads into the containerd of this machine instead: on a board itself.
--containerd names its socket. The images of the chart, by default the umbrella,
that no archive holds are told as a warning.`,
		Example: `  hcchart images load
  hcchart images load --from /media/stick --node node-2 --persist
  hcchart images load --dry-run
  sudo hcchart images load --local --from homecloud-images-arm64.tar.zst`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return flags.run(cmd.Context(), a, args) },
	}
	flags.addTo(cmd)
	cmd.Flags().StringArrayVar(&flags.from, "from", []string{imagesFolder}, "`archive`, or folder of archives; may be repeated")
	cmd.Flags().StringArrayVar(&flags.nodes, "node", nil, "`name` of a board (default: all); may be repeated")
	cmd.Flags().BoolVar(&flags.local, "local", false, "load into the containerd of this machine")
	cmd.Flags().StringVar(&flags.containerd, "containerd", "", "`socket` of containerd (default: k3s' own, or the usual one)")
	cmd.Flags().BoolVar(&flags.persist, "persist", false, "also leave the archive where k3s imports it at every start")
	cmd.Flags().BoolVar(&flags.dryRun, "dry-run", false, "change nothing, only tell what would be loaded")
	return cmd
}

func (f *loadFlags) run(ctx context.Context, a *app, args []string) error {
	if f.local && (len(f.nodes) > 0 || len(args) > 0) {
		return usageError{errors.New("--local is this machine; leave --node and the chart out")}
	}
	files, err := archiveFiles(f.from)
	if err != nil {
		return err
	}
	var cluster *config.Cluster
	if !f.local {
		if cluster, err = a.cluster(); err != nil {
			return err
		}
	}
	nodes, err := f.chosen(cluster)
	if err != nil {
		return err
	}
	steps := term.NewSteps(a.err)
	var archives []*imagestore.Archive
	if err := steps.Run("read "+counted(len(files), "archive"), func(*term.Step) error {
		for _, file := range files {
			archive, err := imagestore.ReadArchive(ctx, file)
			if err != nil {
				return err
			}
			archives = append(archives, archive)
		}
		return nil
	}); err != nil {
		return err
	}
	if f.local {
		return f.load(ctx, a, steps, archives, "this machine", remote.Here{})
	}
	if err := f.warnAbsent(a, args, archives); err != nil {
		return err
	}
	var errs []error // a board that is switched off must not keep the others waiting
	for _, node := range nodes {
		errs = append(errs, f.loadNode(ctx, a, steps, archives, node))
		if ctx.Err() != nil {
			break
		}
	}
	return errors.Join(errs...)
}

func (f *loadFlags) loadNode(ctx context.Context, a *app, steps *term.Steps, archives []*imagestore.Archive, node config.Node) error {
	board, err := remote.Dial(ctx, remote.Target{Name: node.Name, Address: node.Address, Port: node.OS.SSH.Port, User: node.OS.SSH.User, IdentityFile: node.OS.SSH.IdentityFile})
	if err != nil {
		return err
	}
	return errors.Join(f.load(ctx, a, steps, archives, node.Name, board), board.Close())
}

func (f *loadFlags) load(ctx context.Context, a *app, steps *term.Steps, archives []*imagestore.Archive, name string, host imageload.Host) error {
	load := imageload.Load{Name: name, Host: host, Archives: archives, Containerd: f.containerd, Persist: f.persist, Local: f.local, DryRun: f.dryRun, Steps: steps}
	loaded, err := load.Run(ctx)
	if err != nil {
		return err
	}
	what := "loaded"
	if f.dryRun {
		what = "would be loaded"
	}
	_, err = fmt.Fprintf(a.out, "%s: %s %s\n", name, counted(loaded, "image"), what)
	return err
}

// chosen are the boards of --node, all without it.
func (f *loadFlags) chosen(cluster *config.Cluster) ([]config.Node, error) {
	if cluster == nil {
		return nil, nil
	}
	if len(f.nodes) == 0 {
		return cluster.Nodes, nil
	}
	var nodes []config.Node
	for _, name := range f.nodes {
		node, ok := cluster.Node(name)
		if !ok {
			var names []string
			for _, known := range cluster.Nodes {
				names = append(names, known.Name)
			}
			return nil, usageError{fmt.Errorf("--node %s: the cluster file has no such board; there are %s", name, strings.Join(names, ", "))}
		}
		nodes = append(nodes, node)
	}
	return nodes, nil
}

// archiveFiles are the archives that are named, and those in folders that are.
func archiveFiles(names []string) ([]string, error) {
	var files []string
	for _, name := range names {
		info, err := os.Stat(name)
		if err != nil {
			return nil, fmt.Errorf("--from: %w; `hcchart images save` makes archives", err)
		}
		if !info.IsDir() {
			files = append(files, name)
			continue
		}
		var inside []string
		for _, end := range []string{"tar", "tar.gz", "tar.zst"} {
			found, err := filepath.Glob(filepath.Join(name, "*-images-*."+end))
			if err != nil {
				return nil, err
			}
			inside = append(inside, found...)
		}
		if inside == nil {
			return nil, fmt.Errorf("--from %s: no NAME-images-ARCHITECTURE.tar in there; `hcchart images save --out %[1]s` makes one", name)
		}
		slices.Sort(inside)
		files = append(files, inside...)
	}
	return files, nil
}

// warnAbsent tells which images of the chart boards would still pull.
func (f *loadFlags) warnAbsent(a *app, args []string, archives []*imagestore.Archive) error {
	found, err := f.look(a, args, nil)
	if err != nil {
		return err
	}
	warnPulled(a, found.images)
	there := map[string]bool{}
	for _, archive := range archives {
		for _, image := range archive.Images {
			there[image.Name] = true
		}
	}
	missing := slices.DeleteFunc(found.references(), func(name string) bool { return there[name] })
	if len(missing) > 0 {
		fmt.Fprintf(a.err, "warning: no archive holds %s; boards will pull what they lack of it\n", strings.Join(missing, ", "))
	}
	return nil
}
