package disk

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func TestMountTableIsRead(t *testing.T) {
	table := `21 29 0:20 / /sys rw,nosuid shared:7 - sysfs sysfs rw
29 1 259:2 / / rw,relatime shared:1 - ext4 /dev/nvme0n1p2 rw
300 29 8:1 / /srv/homecloud/my\040disk rw,noatime master:4 propagate_from:2 - btrfs /dev/sda1 rw,subvol=/
301 29 8:2 /sub /srv/homecloud/my\040disk rw - ext4 /dev/sd\134a rw
`
	parsed, err := parseMounts([]byte(table))
	require.NoError(t, err)
	require.Len(t, parsed, 4)
	require.Equal(t, Mount{ID: 300, Point: "/srv/homecloud/my disk", FileSystem: "btrfs", Source: "/dev/sda1"}, parsed[2])
	top, found := lastAt(parsed, "/srv/homecloud/my disk")
	require.True(t, found)
	require.Equal(t, Mount{ID: 301, Point: "/srv/homecloud/my disk", FileSystem: "ext4", Source: `/dev/sd\a`}, top)

	for _, broken := range []string{"1 2 3", "x 1 1:1 / / rw - ext4 a rw", "1 1 1:1 / / rw shared:1"} {
		_, err := parseMounts([]byte(broken))
		require.Error(t, err, broken)
	}
}

// Older kernels have only the file systems' own calls: each must tell the
// same UUID as blkid.
func TestEveryWayToAskForTheUUIDAgreesWithBlkid(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("mounts a file system on a loop device: run as root")
	}
	ways := map[string]func(int) ([16]byte, error){"btrfs": btrfsUUID, "ext4": ext4UUID, "xfs": xfsUUID}
	for fileSystem, way := range ways {
		t.Run(fileSystem, func(t *testing.T) {
			image, point := filepath.Join(t.TempDir(), "image"), t.TempDir()
			require.NoError(t, os.WriteFile(image, nil, 0o600))
			require.NoError(t, os.Truncate(image, 320<<20))
			for _, command := range [][]string{{"mkfs." + fileSystem, "-q", image}, {"mount", "-o", "loop", image, point}} {
				output, err := exec.Command(command[0], command[1:]...).CombinedOutput()
				require.NoError(t, err, "%s", output)
			}
			t.Cleanup(func() { _ = unix.Unmount(point, unix.MNT_DETACH) })
			output, err := exec.Command("blkid", "-p", "-s", "UUID", "-o", "value", image).Output()
			require.NoError(t, err)
			want := strings.TrimSpace(string(output))

			top, err := os.Open(point)
			require.NoError(t, err)
			defer top.Close()
			own, err := way(int(top.Fd()))
			require.NoError(t, err)
			require.Equal(t, want, formatUUID(own))
			all, err := fileSystemUUID(int(top.Fd()))
			require.NoError(t, err)
			require.Equal(t, want, all)
		})
	}
}
