// Package nfs asks an NFS server whether it really exports something: a
// listening port proves nothing, Ganesha also listens without exports. It
// speaks just enough NFSv4.0 (RFC 7530) over ONC RPC (RFC 5531) for that.
package nfs

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"regexp"
	"strings"
	"time"
)

const (
	program, version, procCompound = 100003, 4, 1

	opGetAttr   = 9
	opLookup    = 15
	opPutRootFH = 24

	authNone, authSys = 0, 1

	attributeType = 1
	typeFolder    = 2
)

// pseudo is where an export appears to clients.
var pseudo = regexp.MustCompile(`(?m)^\s*Pseudo\s*=\s*([^;]+);`)

// Exports lists the paths that a Ganesha configuration exports, in its order;
// none is an error.
func Exports(configuration string) ([]string, error) {
	content, err := os.ReadFile(configuration)
	if err != nil {
		return nil, fmt.Errorf("nfs: %w", err)
	}
	var paths []string
	for _, match := range pseudo.FindAllSubmatch(content, -1) {
		paths = append(paths, strings.TrimSpace(string(match[1])))
	}
	if paths == nil {
		return nil, fmt.Errorf("nfs: %s exports nothing", configuration)
	}
	return paths, nil
}

// maxReply bounds what is read from a server that isn't one.
const maxReply = 64 << 10

// Lookup looks a folder up from the server's root and fails unless it is
// there and is a folder. The deadline is ctx's.
func Lookup(ctx context.Context, address, export string) error {
	var dialer net.Dialer
	connection, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("nfs: %w", err)
	}
	defer connection.Close()
	if deadline, ok := ctx.Deadline(); ok {
		if err := connection.SetDeadline(deadline); err != nil {
			return fmt.Errorf("nfs: %w", err)
		}
	}
	xid := rand.Uint32()
	names := strings.FieldsFunc(export, func(r rune) bool { return r == '/' })
	call := lookupCall(xid, names)
	// The highest bit says that the fragment is the last.
	message := binary.BigEndian.AppendUint32(nil, 1<<31|uint32(len(call)))
	if _, err := connection.Write(append(message, call...)); err != nil {
		return fmt.Errorf("nfs: %w", err)
	}
	reply, err := readRecord(connection)
	if err != nil {
		return fmt.Errorf("nfs: %s: %w", address, err)
	}
	if err := checkReply(reply, xid, names); err != nil {
		return fmt.Errorf("nfs: %s: %s: %w", address, export, err)
	}
	return nil
}

func lookupCall(xid uint32, names []string) []byte {
	number := binary.BigEndian.AppendUint32
	text := func(b []byte, s string) []byte {
		b = append(number(b, uint32(len(s))), s...)
		return append(b, make([]byte, -len(s)&3)...)
	}
	call := number(nil, xid)
	for _, n := range []uint32{0 /* call */, 2 /* RPC version */, program, version, procCompound} {
		call = number(call, n)
	}
	// Nobody: what a probe may look at, everybody may.
	credentials := number(text(number(nil, uint32(time.Now().Unix())), "homecloud-agent"), 65534)
	credentials = number(number(credentials, 65534), 0)
	call = append(number(number(call, authSys), uint32(len(credentials))), credentials...)
	call = number(number(call, authNone), 0)

	call = number(text(call, ""), 0) // tag, minor version
	call = number(call, uint32(2+len(names)))
	call = number(call, opPutRootFH)
	for _, name := range names {
		call = text(number(call, opLookup), name)
	}
	return number(number(number(call, opGetAttr), 1), 1<<attributeType)
}

func readRecord(r io.Reader) ([]byte, error) {
	var record []byte
	for {
		var mark [4]byte
		if _, err := io.ReadFull(r, mark[:]); err != nil {
			return nil, err
		}
		head := binary.BigEndian.Uint32(mark[:])
		length := head &^ (1 << 31)
		if length > maxReply || len(record)+int(length) > maxReply {
			return nil, errors.New("doesn't speak NFS")
		}
		fragment := make([]byte, length)
		if _, err := io.ReadFull(r, fragment); err != nil {
			return nil, err
		}
		record = append(record, fragment...)
		if head>>31 == 1 {
			return record, nil
		}
	}
}

// reader takes a reply apart; after the end everything is zero and short is
// set.
type reader struct {
	rest  []byte
	short bool
}

func (r *reader) number() uint32 {
	if len(r.rest) < 4 {
		r.rest, r.short = nil, true
		return 0
	}
	n := binary.BigEndian.Uint32(r.rest)
	r.rest = r.rest[4:]
	return n
}

func (r *reader) skipOpaque() {
	length := int(r.number())
	length += -length & 3
	if length < 0 || length > len(r.rest) {
		r.rest, r.short = nil, true
		return
	}
	r.rest = r.rest[length:]
}

var errShort = errors.New("the answer ends too early")

func checkReply(reply []byte, xid uint32, names []string) error {
	r := &reader{rest: reply}
	if r.number() != xid || r.number() != 1 {
		return errors.New("answers something else")
	}
	if r.number() != 0 {
		return errors.New("refuses the call (RPC)")
	}
	r.number()
	r.skipOpaque() // verifier
	if accepted := r.number(); accepted != 0 || r.short {
		return fmt.Errorf("doesn't serve NFSv4 (RPC accept status %d)", accepted)
	}
	if status := r.number(); status != 0 {
		return statusError(status)
	}
	r.skipOpaque() // tag
	if count := r.number(); int(count) != 2+len(names) {
		return errShort
	}
	for range 1 + len(names) { // PUTROOTFH, LOOKUP…: operation, status
		r.number()
		if status := r.number(); status != 0 {
			return statusError(status)
		}
	}
	r.number()
	if status := r.number(); status != 0 {
		return statusError(status)
	}
	for range r.number() { // which attributes follow
		r.number()
		if r.short {
			return errShort
		}
	}
	r.number() // their length
	kind := r.number()
	if r.short {
		return errShort
	}
	if kind != typeFolder {
		return errors.New("isn't a folder")
	}
	return nil
}

var statusNames = map[uint32]string{
	1: "not permitted", 2: "no such export", 5: "I/O error", 13: "access denied", 20: "not a folder",
	70: "stale file handle", 10006: "server fault", 10013: "in its grace period", 10016: "wrong security flavour",
	10018: "resource shortage", 10021: "minor version not served",
}

func statusError(status uint32) error {
	if name, known := statusNames[status]; known {
		return errors.New(name)
	}
	return fmt.Errorf("NFS error %d", status)
}
