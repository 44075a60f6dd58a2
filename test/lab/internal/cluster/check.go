package cluster

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
)

// packages says which Debian package brings each program the lab runs.
var packages = map[string]string{
	"containerd": "containerd", "ctr": "containerd", "runc": "runc",
	"iptables": "iptables", "ipset": "ipset", "nft": "nftables", "conntrack": "conntrack",
	"mkfs.ext4": "e2fsprogs", "mkfs.btrfs": "btrfs-progs", "mkfs.xfs": "xfsprogs",
	"mount": "mount",
}

// check refuses before anything is touched, and names all that is missing at once.
func check(filesystem string) error {
	var missing []string
	for program, pkg := range packages {
		if strings.HasPrefix(program, "mkfs.") && program != "mkfs.ext4" && program != "mkfs."+filesystem {
			continue
		}
		if _, err := exec.LookPath(program); err != nil && !slices.Contains(missing, pkg) {
			missing = append(missing, pkg)
		}
	}
	if !fileExists("/usr/lib/cni/bridge") && !fileExists("/opt/cni/bin/bridge") {
		missing = append(missing, "containernetworking-plugins")
	}
	if missing != nil {
		slices.Sort(missing)
		return fmt.Errorf("programs are missing: apt-get install --no-install-recommends %s", strings.Join(missing, " "))
	}
	return errors.Join(
		feature("/dev/loop-control", "loop devices (modprobe loop)"),
		feature("/proc/sys/net/bridge/bridge-nf-call-iptables", "filtering of bridged traffic (modprobe br_netfilter)"),
		filesystemKnown("overlay"), filesystemKnown("ext4"), filesystemKnown(filesystem),
	)
}

func feature(path, what string) error {
	if fileExists(path) {
		return nil
	}
	return fmt.Errorf("the kernel lacks %s", what)
}

func filesystemKnown(name string) error {
	known, err := os.ReadFile("/proc/filesystems")
	if err != nil {
		return err
	}
	if slices.Contains(strings.Fields(string(known)), name) {
		return nil
	}
	return fmt.Errorf("the kernel lacks the file system %s (modprobe %s)", name, name)
}
