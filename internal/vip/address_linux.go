package vip

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// RemoveStale removes an address from every interface that carries it, or
// from one interface when it is named, and returns where it was. A keepalived
// that was killed leaves its address behind, and two nodes would answer.
func RemoveStale(address netip.Addr, interfaceName string) (from []string, err error) {
	interfaces, err := net.Interfaces()
	if err != nil {
		return nil, fmt.Errorf("vip: %w", err)
	}
	known := interfaceName == ""
	for _, i := range interfaces {
		if interfaceName != "" && i.Name != interfaceName {
			continue
		}
		known = true
		addresses, err := i.Addrs()
		if err != nil {
			return from, fmt.Errorf("vip: %s: %w", i.Name, err)
		}
		for _, a := range addresses {
			prefix, err := netip.ParsePrefix(a.String())
			if err != nil || prefix.Addr() != address {
				continue
			}
			if err := removeAddress(i.Index, prefix); err != nil {
				return from, fmt.Errorf("vip: remove %s from %s: %w", prefix, i.Name, err)
			}
			from = append(from, i.Name)
		}
	}
	if !known {
		return nil, fmt.Errorf("vip: no interface %s", interfaceName)
	}
	return from, nil
}

// removeAddress sends one RTM_DELADDR (rtnetlink(7)) and waits for the answer.
func removeAddress(index int, prefix netip.Prefix) error {
	socket, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	defer unix.Close(socket)

	ip := prefix.Addr().AsSlice()
	family := uint8(unix.AF_INET)
	if prefix.Addr().Is6() {
		family = unix.AF_INET6
	}
	message := make([]byte, unix.SizeofNlMsghdr, 128)
	message = append(message, family, uint8(prefix.Bits()), 0, 0)
	message = binary.NativeEndian.AppendUint32(message, uint32(index))
	message = binary.NativeEndian.AppendUint16(message, uint16(unix.SizeofRtAttr+len(ip)))
	message = binary.NativeEndian.AppendUint16(message, unix.IFA_LOCAL)
	message = append(message, ip...)
	header := (*unix.NlMsghdr)(unsafe.Pointer(&message[0]))
	header.Len = uint32(len(message))
	header.Type = unix.RTM_DELADDR
	header.Flags = unix.NLM_F_REQUEST | unix.NLM_F_ACK
	header.Seq = 1
	if err := unix.Sendto(socket, message, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return os.NewSyscallError("send", err)
	}
	answer := make([]byte, 4096)
	n, _, err := unix.Recvfrom(socket, answer, 0)
	if err != nil {
		return os.NewSyscallError("receive", err)
	}
	if n < unix.SizeofNlMsghdr+4 || binary.NativeEndian.Uint16(answer[4:]) != unix.NLMSG_ERROR {
		return errors.New("the kernel gave no answer that could be read")
	}
	// Zero is success; otherwise a negative errno. Gone meanwhile is gone.
	code := int32(binary.NativeEndian.Uint32(answer[unix.SizeofNlMsghdr:]))
	if code != 0 && unix.Errno(-code) != unix.EADDRNOTAVAIL {
		return unix.Errno(-code)
	}
	return nil
}
