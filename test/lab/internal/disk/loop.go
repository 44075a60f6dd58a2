package disk

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// setUp ties a free loop device to a file. The label is what the device is found by later,
// because the path of a file on a detached mount can't be known.
func setUp(image, label string) (*os.File, error) {
	backing, err := os.OpenFile(image, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer func() { _ = backing.Close() }()
	control, err := os.OpenFile("/dev/loop-control", os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("loop devices: %w", err)
	}
	defer func() { _ = control.Close() }()
	config := unix.LoopConfig{Fd: uint32(backing.Fd())}
	config.Info.Flags = unix.LO_FLAGS_AUTOCLEAR
	copy(config.Info.File_name[:len(config.Info.File_name)-1], label)
	for {
		number, err := unix.IoctlRetInt(int(control.Fd()), unix.LOOP_CTL_GET_FREE)
		if err != nil {
			return nil, fmt.Errorf("free loop device: %w", err)
		}
		loop, err := os.OpenFile("/dev/loop"+strconv.Itoa(number), os.O_RDWR, 0)
		if err != nil {
			return nil, err
		}
		err = unix.IoctlLoopConfigure(int(loop.Fd()), &config)
		if err == nil {
			return loop, nil
		}
		_ = loop.Close()
		if !errors.Is(err, unix.EBUSY) { // another process was faster
			return nil, fmt.Errorf("%s: %w", loop.Name(), err)
		}
	}
}

// Loops lists the loop devices whose label is the given one or lies below it.
func Loops(label string) []string {
	devices, _ := filepath.Glob("/sys/block/loop*/loop/backing_file")
	var out []string
	for _, d := range devices {
		name := "/dev/" + strings.Split(d, "/")[3]
		f, err := os.Open(name)
		if err != nil {
			continue
		}
		info, err := unix.IoctlLoopGetStatus64(int(f.Fd()))
		_ = f.Close()
		if err != nil {
			continue
		}
		got := unix.ByteSliceToString(info.File_name[:])
		if got == label || strings.HasPrefix(got, label+"/") {
			out = append(out, name)
		}
	}
	return out
}

// remember keeps the device number of a mounted disk, to find who holds it after a pull.
func remember(name, target string) error {
	var s unix.Stat_t
	if err := unix.Stat(target, &s); err != nil {
		return err
	}
	return os.WriteFile("/run/lab/"+name+".device", []byte(strconv.FormatUint(s.Dev, 10)), 0o644)
}

// holders names the processes of this node with a file or a mount of the disk.
func holders(name string) string {
	b, err := os.ReadFile("/run/lab/" + name + ".device")
	if err != nil {
		return "unknown processes"
	}
	device, err := strconv.ParseUint(string(b), 10, 64)
	if err != nil {
		return "unknown processes"
	}
	number := fmt.Sprintf(" %d:%d ", unix.Major(device), unix.Minor(device))
	var out []string
	processes, _ := filepath.Glob("/proc/[0-9]*")
	for _, p := range processes {
		mounts, _ := os.ReadFile(p + "/mountinfo")
		held := strings.Contains(string(mounts), number)
		files, _ := filepath.Glob(p + "/fd/*")
		for _, f := range append(files, p+"/cwd", p+"/root") {
			var s unix.Stat_t
			err := unix.Stat(f, &s)
			// A file of a dead xfs doesn't even tell its device.
			held = held || err == nil && s.Dev == device || err == unix.EIO
		}
		if held {
			comm, _ := os.ReadFile(p + "/comm")
			out = append(out, strings.TrimSpace(string(comm))+" ("+filepath.Base(p)+")")
		}
	}
	if out == nil {
		return "the kernel"
	}
	return strings.Join(out, ", ")
}
