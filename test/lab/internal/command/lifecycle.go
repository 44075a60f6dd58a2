package command

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/tmorin/homecloud/test/lab/internal/cluster"
	"github.com/tmorin/homecloud/test/lab/internal/disk"
)

func (a *app) up() *cobra.Command {
	spec := cluster.Spec{}
	var memory string
	c := &cobra.Command{
		Use:     "up",
		Short:   "Start the lab, or whatever of it isn't running",
		Example: "  lab up\n  lab up --nodes 3 --memory 3Gi --filesystem ext4\n  lab up --name other   # a second one beside it",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			var err error
			if spec.Memory, err = bytes(memory); err != nil {
				return usageError{err}
			}
			if spec.Nodes < 1 || spec.Nodes > 50 {
				return usageError{fmt.Errorf("--nodes %d: between 1 and 50", spec.Nodes)}
			}
			if !slices.Contains(disk.Filesystems, spec.Filesystem) {
				return usageError{fmt.Errorf("--filesystem %q: one of %s", spec.Filesystem, strings.Join(disk.Filesystems, ", "))}
			}
			return a.with(true, func(l *cluster.Lab) error { return l.Up(c.Context(), spec, a.cache) })
		},
	}
	c.Flags().IntVar(&spec.Nodes, "nodes", 2, "number of nodes")
	c.Flags().StringVar(&memory, "memory", "2Gi", "memory of each node")
	c.Flags().StringVar(&spec.Filesystem, "filesystem", disk.Filesystems[0], "of the data disks: "+strings.Join(disk.Filesystems, ", "))
	return c
}

// bytes reads 2Gi or 1536Mi.
func bytes(s string) (int64, error) {
	for suffix, unit := range map[string]int64{"Gi": 1 << 30, "Mi": 1 << 20} {
		if number, found := strings.CutSuffix(s, suffix); found {
			n, err := strconv.ParseInt(number, 10, 32)
			if err == nil && n*unit >= 512<<20 {
				return n * unit, nil
			}
		}
	}
	return 0, fmt.Errorf("--memory %q: a number with Mi or Gi, at least 512Mi", s)
}

func (a *app) down() *cobra.Command {
	var keep, all bool
	c := &cobra.Command{
		Use:   "down",
		Short: "End the lab, also what a crash left of it",
		Long: `End the lab and delete its cluster. The images that were loaded stay, so that the
next lab of this name has them at once.`,
		Example: "  lab down\n  lab down --keep   # the next up continues this cluster\n  lab down --all    # the images too",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			what := cluster.KeepImages
			switch {
			case keep && all:
				return usageError{errors.New("--keep and --all exclude each other")}
			case keep:
				what = cluster.KeepAll
			case all:
				what = cluster.KeepNothing
			}
			return a.with(true, func(l *cluster.Lab) error { return l.Down(what) })
		},
	}
	c.Flags().BoolVar(&keep, "keep", false, "keep the cluster and its disks")
	c.Flags().BoolVar(&all, "all", false, "delete the loaded images too")
	return c
}

func (a *app) build() *cobra.Command {
	return &cobra.Command{
		Use:     "build",
		Short:   "Compile Kubernetes, as the first up does",
		Example: "  lab build   # prints the folder; about 9 CPU-minutes the first time",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			l := &cluster.Lab{Progress: a.err}
			dir, err := l.Build(c.Context(), a.cache)
			if err == nil {
				_, _ = fmt.Fprintln(a.out, dir)
			}
			return err
		},
	}
}

func (a *app) kubeconfig() *cobra.Command {
	var out string
	c := &cobra.Command{
		Use:     "kubeconfig",
		Short:   "Print a kubeconfig for this machine",
		Example: "  lab kubeconfig --out kubeconfig\n  KUBECONFIG=kubeconfig kubectl get nodes",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return a.with(false, func(l *cluster.Lab) error {
				b, err := l.Kubeconfig()
				if err != nil {
					return err
				}
				if out == "" {
					_, err = a.out.Write(b)
					return err
				}
				if err := os.WriteFile(out+".new", b, 0o600); err != nil {
					return err
				}
				return os.Rename(out+".new", out)
			})
		},
	}
	c.Flags().StringVar(&out, "out", "", "write it to this file")
	return c
}

func (a *app) status() *cobra.Command {
	var output string
	c := &cobra.Command{
		Use:     "status",
		Short:   "Show nodes, disks, cables and memory",
		Example: "  lab status\n  lab status -o json",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if output != "table" && output != "json" {
				return usageError{fmt.Errorf("--output %q: table or json", output)}
			}
			return a.with(false, func(l *cluster.Lab) error {
				s := l.Status(c.Context())
				if output == "json" {
					e := json.NewEncoder(a.out)
					e.SetIndent("", "  ")
					return e.Encode(s)
				}
				return table(a.out, s)
			})
		},
	}
	c.Flags().StringVarP(&output, "output", "o", "table", "table or json")
	return c
}

func table(w io.Writer, s cluster.Status) error {
	if !s.Up && len(s.Nodes) == 0 {
		_, err := fmt.Fprintf(w, "%s isn't up.\n", s.Name)
		return err
	}
	_, _ = fmt.Fprintf(w, "%s: API %s %s, LAN gateway %s, client %s, state in %s\n", s.Name, s.Server, s.API, s.Gateway, s.Client, s.Dir)
	t := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	_, _ = fmt.Fprintln(t, "NODE\tADDRESS\tSTATE\tNETWORK\tDISKS\tMEMORY")
	for _, n := range s.Nodes {
		var disks []string
		for _, name := range slices.Sorted(maps.Keys(n.Disks)) {
			disks = append(disks, name+" "+n.Disks[name])
		}
		_, _ = fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%d of %d MiB\n", n.Name, n.Address, n.State, n.Network, strings.Join(disks, ", "), n.Memory>>20, n.Limit>>20)
	}
	return t.Flush()
}
