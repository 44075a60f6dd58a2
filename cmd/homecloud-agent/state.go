package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
)

func newStateCommand(a *app) *cobra.Command {
	var path, owner string
	cmd := &cobra.Command{
		Use:   "state",
		Short: "Give a daemon its folder on the system disk",
		Long: `state hands a folder that root owns, as the kubelet makes host paths, to the
account that keeps its state there, with mode 0700. A folder that is this
account's already stays as it is; one that is somebody else's is refused. It
needs the capability CHOWN and no other.`,
		Example: `  homecloud-agent state --path /var/lib/syncthing --owner 2000:2000`,
		Args:    arguments(cobra.NoArgs),
		RunE: func(*cobra.Command, []string) error {
			uid, gid, err := parseOwner(owner)
			if err != nil {
				return err
			}
			changed, err := handOver(path, uid, gid)
			if err == nil && changed {
				a.log.Info("handed over", "path", path, "owner", owner)
			}
			return err
		},
	}
	cmd.Flags().StringVar(&path, "path", "", "`folder` to hand over")
	cmd.Flags().StringVar(&owner, "owner", "", "`uid:gid` of the account")
	needs(cmd, "path", "owner")
	return cmd
}

// handOver works through one open folder: nothing can take its place between
// the look and the change.
func handOver(path string, uid, gid int) (changed bool, err error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if errors.Is(err, unix.EACCES) {
		// Root without capabilities can't open what it handed over before.
		var info unix.Stat_t
		if err := unix.Lstat(path, &info); err == nil && info.Mode&unix.S_IFMT == unix.S_IFDIR && int(info.Uid) == uid && int(info.Gid) == gid {
			return false, nil
		}
	}
	if err != nil {
		return false, fmt.Errorf("state: %w", &os.PathError{Op: "open", Path: path, Err: err})
	}
	defer unix.Close(fd)
	var info unix.Stat_t
	if err := unix.Fstat(fd, &info); err != nil {
		return false, fmt.Errorf("state: %s: %w", path, err)
	}
	switch {
	case int(info.Uid) == uid && int(info.Gid) == gid:
		return false, nil
	case info.Uid != 0:
		return false, fmt.Errorf("state: %s belongs to %d:%d, not to %d:%d; if dnas.owner was changed, change the owner of everything in it by hand", path, info.Uid, info.Gid, uid, gid)
	}
	// The mode first: afterwards it is no longer ours to change.
	if err := unix.Fchmod(fd, 0o700); err != nil {
		return false, fmt.Errorf("state: %s: %w", path, err)
	}
	if err := unix.Fchown(fd, uid, gid); err != nil {
		return false, fmt.Errorf("state: %s: %w", path, err)
	}
	return true, nil
}
