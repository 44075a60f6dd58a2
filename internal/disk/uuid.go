package disk

import (
	"encoding/binary"
	"errors"
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Calls that tell a file system's UUID through any of its open files, without
// a capability and without the block device.
const (
	fsIOCGetUUID       = 0x80111500 // Linux 6.9, every file system that sets one
	btrfsIOCFSInfo     = 0x8400941f
	ext4IOCGetFSUUID   = 0x8008662c // Linux 6.0
	xfsIOCFSGeometryV1 = 0x80705864
)

// errNoUUID is returned where the kernel doesn't tell.
var errNoUUID = errors.New("this kernel doesn't tell the file system's UUID")

// fileSystemUUID returns the UUID of the file system that holds an open file.
func fileSystemUUID(fd int) (string, error) {
	for _, ask := range []func(int) ([16]byte, error){genericUUID, btrfsUUID, ext4UUID, xfsUUID} {
		uuid, err := ask(fd)
		switch {
		case err == nil && uuid != [16]byte{}:
			return formatUUID(uuid), nil
		case err == nil, errors.Is(err, unix.ENOTTY), errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.EINVAL):
			// Another kernel, or another file system: ask the next.
		default:
			return "", fmt.Errorf("ask the file system's UUID: %w", err)
		}
	}
	return "", errNoUUID
}

func genericUUID(fd int) (uuid [16]byte, err error) {
	var answer [17]byte // length, UUID
	if err := ioctl(fd, fsIOCGetUUID, answer[:]); err != nil {
		return uuid, err
	}
	if answer[0] != 16 {
		return uuid, unix.EOPNOTSUPP
	}
	copy(uuid[:], answer[1:])
	return uuid, nil
}

func btrfsUUID(fd int) (uuid [16]byte, err error) {
	var answer [1024]byte // max_id, num_devices, fsid, …
	if err := ioctl(fd, btrfsIOCFSInfo, answer[:]); err != nil {
		return uuid, err
	}
	copy(uuid[:], answer[16:])
	return uuid, nil
}

func ext4UUID(fd int) (uuid [16]byte, err error) {
	var answer [24]byte // length of the UUID that fits, flags, UUID
	binary.NativeEndian.PutUint32(answer[:], 16)
	if err := ioctl(fd, ext4IOCGetFSUUID, answer[:]); err != nil {
		return uuid, err
	}
	copy(uuid[:], answer[8:])
	return uuid, nil
}

func xfsUUID(fd int) (uuid [16]byte, err error) {
	var answer [112]byte // eight 32-bit and four 64-bit numbers, UUID, …
	if err := ioctl(fd, xfsIOCFSGeometryV1, answer[:]); err != nil {
		return uuid, err
	}
	copy(uuid[:], answer[64:])
	return uuid, nil
}

func ioctl(fd int, request uintptr, answer []byte) error {
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), request, uintptr(unsafe.Pointer(&answer[0])))
	if errno != 0 {
		return errno
	}
	return nil
}

func formatUUID(u [16]byte) string {
	return fmt.Sprintf("%x-%x-%x-%x-%x", u[0:4], u[4:6], u[6:8], u[8:10], u[10:16])
}
