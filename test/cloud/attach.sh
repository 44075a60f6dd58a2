# Mounts the disk image $1 at $2, inside of a board that is a container. Runs
# with util-linux (kind) and with BusyBox (k3s).
set -eu
mkdir -p "$2"
if mountpoint -q "$2"; then exit 0; fi

# A container's /dev is a copy, made when the container was: loop devices that
# came later are missing. The first line makes a device when none is free.
losetup -f >/dev/null
for loop in /sys/block/loop*; do
    if [ ! -b "/dev/${loop##*/}" ]; then
        IFS=: read -r major minor <"$loop/dev"
        mknod "/dev/${loop##*/}" b "$major" "$minor"
    fi
done

# What was unmounted under a program that still holds it open has its device
# yet. A second device for the same image would be two file systems on one disk.
device=$(losetup -j "$1" | cut -d: -f1 | head -n 1)
if [ -n "$device" ] && mount -t ext4 "$device" "$2"; then exit 0; fi
# The kernel frees a device made this way by itself when the last mount goes.
mount -t ext4 -o loop "$1" "$2"
