#!/usr/bin/env bash
# cgroup2.sh [TEST]: the lab's own test (or those that match TEST) on cgroup version 2, whatever this machine has: in a Debian
# with systemd that QEMU runs without hardware virtualisation. Needs root, Go and Debian on amd64; twenty minutes on
# an idle machine, 5 GiB of memory and 4 GiB of disk.
#
# The virtual machine's clock counts instructions (-icount: one is a nanosecond) instead of following this machine's, so
# that no timeout in it depends on how slow it is. The prices: one processor, and no snapshot of what QEMU can't replay.
set -euo pipefail
cd "$(dirname "$0")"
cache="${XDG_CACHE_HOME:-$HOME/.cache}/homecloud/cgroup2"

[ "$(id -u)" = 0 ] || { echo "cgroup2.sh: builds a root file system: run it as root" >&2; exit 1; }
[ "$(dpkg --print-architecture)" = amd64 ] || { echo "cgroup2.sh: the virtual machine is a PC: run it on amd64" >&2; exit 1; }
missing=$(for p in qemu-system-x86 mmdebstrap e2fsprogs; do dpkg-query -W -f '${db:Status-Status}' "$p" 2>/dev/null | grep -qx installed || echo "$p"; done)
[ -z "$missing" ] || { echo "Installing from Debian:" $missing; apt-get update -q -q; DEBIAN_FRONTEND=noninteractive apt-get install -q -q -y --no-install-recommends $missing; }

# The cloud kernel has NVMe and ext4 built in, and boots from them without an initrd.
packages=systemd-sysv,dbus,udev,kmod,initramfs-tools,linux-image-cloud-amd64,conntrack,containerd,containernetworking-plugins
packages+=,btrfs-progs,e2fsprogs,ethtool,ipset,iproute2,iptables,mount,netbase,nftables,procps,runc,xfsprogs
base=$cache/root-$(sha256sum <<<"$packages" | cut -c -12).tar
mkdir -p "$cache"
work=$(mktemp -d "$cache/run-XXXXXX")
trap 'rm -rf "$work"' EXIT
if ! [ -e "$base" ]; then
  rm -f "$cache"/root-*.tar
  INITRD=No mmdebstrap --quiet --variant=minbase --mode=root --include="$packages" --aptopt='Apt::Install-Recommends "false"' \
    --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
    bookworm "$work/base.tar"
  mv "$work/base.tar" "$base"
fi
root=$work/root
mkdir "$root"
tar -C "$root" -xf "$base"

# What runs there, built here: the lab with its Kubernetes, its test and the test's programs.
programs=$root/opt/labtest
mkdir -p "$programs"
export CGO_ENABLED=0
go build -o "$programs/lab" .
go build -o "$programs/probe" ./labtest/probe
go test -c -o "$programs/labtest" ./labtest
cp -r labtest/testdata "$programs"
built=$("$programs/lab" build)
mkdir -p "$root/root/.cache/homecloud/lab"
cp -r "$built" "$root/root/.cache/homecloud/lab/"

echo cgroup2 > "$root/etc/hostname"
echo '/dev/nvme0n1 / ext4 noatime 0 1' > "$root/etc/fstab"
printf '%s\n' loop br_netfilter overlay btrfs > "$root/etc/modules-load.d/lab.conf" # what `lab up` asks for
cat > "$root/etc/systemd/system/labtest.service" <<UNIT
[Service]
WorkingDirectory=/opt/labtest
Environment=HOME=/root HOMECLOUD_LAB_PROGRAMS=/opt/labtest
ExecStartPre=/bin/sh -c 'uname -r; cat /sys/fs/cgroup/cgroup.controllers /proc/self/cgroup'
ExecStart=/opt/labtest/labtest -test.v -test.timeout=60m "-test.run=${1:-.}"
ExecStopPost=/bin/sh -c 'echo "cgroup2: \$SERVICE_RESULT"; sleep 1; systemctl poweroff --force'
StandardOutput=tty
StandardError=inherit
TTYPath=/dev/ttyS0
[Install]
WantedBy=multi-user.target
UNIT
systemctl --quiet --root="$root" enable labtest.service
systemctl --quiet --root="$root" mask getty@tty1.service serial-getty@ttyS0.service apt-daily.timer apt-daily-upgrade.timer \
  e2scrub_all.timer fstrim.timer
cp "$root"/boot/vmlinuz-* "$work/vmlinuz"
truncate -s 16G "$work/disk.img"
mke2fs -q -t ext4 -d "$root" -E lazy_itable_init=0,assume_storage_prezeroed=1 "$work/disk.img"
rm -rf "$root"

# No network but the lab's own.
timeout --foreground 2h qemu-system-x86_64 -machine q35 -accel tcg,tb-size=512 -cpu max -icount shift=0 -rtc clock=vm -m 8192 \
  -nodefaults -no-user-config -display none -no-reboot -serial stdio -device virtio-rng-pci \
  -drive "if=none,id=root,file=$work/disk.img,format=raw,cache=unsafe,discard=unmap" -device nvme,drive=root,serial=root \
  -kernel "$work/vmlinuz" -append "root=/dev/nvme0n1 rw console=ttyS0 quiet loglevel=1 systemd.show_status=false
    systemd.unified_cgroup_hierarchy=1 mitigations=off tsc=reliable random.trust_cpu=on net.ifnames=0" < /dev/null |
  sed -u 's|\r$||' | tee "$work/console"
grep -qx 'cgroup2: success' "$work/console"
