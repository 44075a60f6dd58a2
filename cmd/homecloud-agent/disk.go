package main

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tmorin/homecloud/internal/config"
	"github.com/tmorin/homecloud/internal/disk"
)

func newDiskCommand(a *app) *cobra.Command {
	return group("disk", "Adopt and show data disks", newDiskAdoptCommand(a), newDiskShowCommand(a))
}

func newDiskAdoptCommand(a *app) *cobra.Command {
	var adoption disk.Adoption
	var owner string
	cmd := &cobra.Command{
		Use:   "adopt",
		Short: "Make a mounted file system a data disk of a home",
		Long: `adopt writes the sentinel, with a new generation, and makes the folders that a
data disk has. It refuses what isn't mounted, what belongs to another home or
is another disk, and what already holds data. A disk that is adopted already
stays as it is. It neither formats nor mounts.`,
		Example: `  homecloud-agent disk adopt --path /srv/homecloud/data --cluster home --disk data --node node-1`,
		Args:    arguments(cobra.NoArgs),
		RunE: func(*cobra.Command, []string) error {
			var err error
			if adoption.UID, adoption.GID, err = parseOwner(owner); err != nil {
				return err
			}
			sentinel, adopted, err := adoption.Run()
			if err != nil {
				return err
			}
			if !adopted {
				a.log.Info("adopted before", "disk", adoption.Path)
			}
			return printSentinel(a, sentinel)
		},
	}
	cmd.Flags().StringVar(&adoption.Path, "path", "", "mount `point`")
	cmd.Flags().StringVar(&adoption.Cluster, "cluster", "", "`name` of the cluster")
	cmd.Flags().StringVar(&adoption.Disk, "disk", "", "`name` of the disk, also the last element of the mount point")
	cmd.Flags().StringVar(&adoption.Node, "node", "", "`name` of this board")
	cmd.Flags().StringVar(&owner, "owner", fmt.Sprintf("%d:%d", config.DefaultOwner, config.DefaultOwner), "`uid:gid` of what families put on the disk")
	cmd.Flags().BoolVar(&adoption.AllowNonEmpty, "allow-nonempty", false, "adopt a disk that holds data; the data stays as it is")
	needs(cmd, "path", "cluster", "disk", "node")
	return cmd
}

func newDiskShowCommand(a *app) *cobra.Command {
	var path string
	cmd := &cobra.Command{
		Use:   "show",
		Short: "Print a disk's sentinel and what a gate would say",
		Long: `show prints the sentinel and ends with 0 when a gate that expects this disk
would open, and with 1 and the reason when it wouldn't. It writes nothing.`,
		Example: `  homecloud-agent disk show --path /srv/homecloud/data`,
		Args:    arguments(cobra.NoArgs),
		RunE: func(*cobra.Command, []string) error {
			sentinel, verdict := disk.Show(path)
			if sentinel != (config.Sentinel{}) {
				if err := printSentinel(a, sentinel); err != nil {
					return err
				}
			}
			return verdict
		},
	}
	cmd.Flags().StringVar(&path, "path", "", "mount `point`")
	needs(cmd, "path")
	return cmd
}

func printSentinel(a *app, sentinel config.Sentinel) error {
	encoder := json.NewEncoder(a.out)
	encoder.SetIndent("", "  ")
	return encoder.Encode(sentinel)
}

func parseOwner(owner string) (uid, gid int, err error) {
	user, group, found := strings.Cut(owner, ":")
	uid, userErr := strconv.Atoi(user)
	gid, groupErr := strconv.Atoi(group)
	if !found || userErr != nil || groupErr != nil || uid < 0 || gid < 0 {
		return 0, 0, usageError{fmt.Errorf("--owner %q: write numbers, as in 2000:2000", owner)}
	}
	return uid, gid, nil
}
