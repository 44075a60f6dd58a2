#!/usr/bin/env bash
# Runs the unit tests of our own code beside the real daemons that it starts, configures and asks: the long ones, which
# `go test -short` leaves out. keepalived and NFS-Ganesha come out of the images and OpenSSH's server out of its package, so
# that nothing of them is installed on this machine; the API server is the lab's, containerd is its test's. A test that
# can't run here is a failure, but for those named below.
set -euo pipefail
cd "$(dirname "$0")/.."
: "${GO:=go}"

work=$(mktemp -d)
lab() { bin/lab --name daemons --dir "$work/lab" "$@"; }
trap 'lab down >/dev/null 2>&1; rm -rf "$work"' EXIT
mkdir "$work/bin"

# provide PROGRAM IMAGE: a command that runs an image's program in the image's own root, on this machine's folders.
provide() {
  local root=$work/$2
  mkdir -p "$root/archive" "$root/root"
  tar -xf dist/images/"$2"-*.tar -C "$root/archive"
  sed 's/.*"Layers":\[\([^]]*\)\].*/\1/; s/[",]/ /g' "$root/archive/manifest.json" | tr ' ' '\n' | grep . | while read -r layer; do
    tar -xf "$root/archive/$layer" -C "$root/root"
  done
  (cd "$root/root" && mkdir -p proc sys dev run tmp)
  cat >"$work/bin/$1" <<SCRIPT
#!/bin/sh
exec unshare --mount sh -c 'cd $root/root; for folder in proc sys dev run tmp; do mount --rbind /\$folder \$folder; done; exec chroot . $1 "\$@"' $1 "\$@"
SCRIPT
  chmod 755 "$work/bin/$1"
}
# OpenSSH's server, whose user and whose folder aren't on this machine: in a view of it that has them.
{ echo 'root:*:0:0::/root:/bin/sh'; echo 'sshd:*:65533:65534::/run/sshd:/usr/sbin/nologin'; } >"$work/passwd"
cat >"$work/bin/sshd" <<SCRIPT
#!/bin/sh
exec unshare --mount sh -c 'mount --bind $work/passwd /etc/passwd && mount -t tmpfs tmpfs /run && mkdir /run/sshd && exec $PWD/bin/sshd "\$@"' sshd "\$@"
SCRIPT
chmod 755 "$work/bin/sshd"
provide keepalived keepalived
provide ganesha.nfsd nas

lab up --nodes 1
lab kubeconfig >"$work/kubeconfig"
PATH=$work/bin:$PATH SYNCTHING=$PWD/bin/syncthing HOMECLOUD_TEST_KUBECONFIG=$work/kubeconfig \
  "$GO" test -count=1 -v ./internal/... ./cmd/homecloud-agent >"$work/log" 2>&1 || { grep -E '^ *(---|FAIL|panic|.*_test\.go:)' "$work/log" | grep -v -- '--- PASS'; exit 1; }
grep -E '^ok ' "$work/log"
# sops has a shard of its own; version 2 of cgroups has no such throttle.
if grep -A1 -E '^ *--- SKIP' "$work/log" | grep _test.go | grep -v -E 'bin/sops is not built|needs a blkio controller'; then
  echo "these were skipped, and must not be" >&2
  exit 1
fi
