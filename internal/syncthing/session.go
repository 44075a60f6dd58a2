package syncthing

import (
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/beevik/etree"
	"golang.org/x/sys/unix"

	"github.com/tmorin/homecloud/internal/config"
	"github.com/tmorin/homecloud/internal/disk"
	"github.com/tmorin/homecloud/internal/mounted"
)

// Session keeps account of whether the disk was left in order. Syncthing's
// index lies on the system disk. When the data disk is torn away, or the board
// loses power, the index may know of files that the disk never stored, and
// Syncthing would announce them as deleted.
//
// So every run of Syncthing is a session with a random name, written on the
// disk and beside the index before it starts, and another one at its end: a copy
// that was made in between bears neither the one nor the other. A session that
// didn't end in order, unless the file system has stayed mounted, or whose name
// the disk doesn't have, leaves a torn disk: before Syncthing looks, its shares
// are made to receive only and its peers are paused, and the reconciler settles
// what differs.
type Session struct {
	Disk disk.Expectation
	Home string // of Syncthing
	Log  *slog.Logger

	boot string // for tests; empty: the kernel's

	// abandoned is when the last one ended with a disk that wasn't right; nil: it
	// didn't. A beginning may hang while another one is abandoned.
	abandoned atomic.Pointer[time.Time]
}

// session is what is remembered of the last session.
type session struct {
	Name       string `json:"name"`
	Generation string `json:"generation"` // of the disk it was on
	// Ended says that the disk has stored everything that Syncthing knew.
	Ended bool `json:"ended"`
	// Unnamed says that the disk was too full to take the session's name.
	Unnamed bool `json:"unnamed,omitempty"`
	// Boot and Superblock tell whether the file system has gone on being mounted
	// since: then only Syncthing or its gate was killed, and nothing is lost.
	// Superblock is zero where that can't be told.
	Boot       string `json:"boot,omitempty"`
	Superblock uint64 `json:"superblock,omitempty"`
}

// resetDeltas makes Syncthing, and whoever it talks to, tell everything anew.
const resetDeltas = "--reset-deltas"

// Begin is a gate's Begin.
func (s *Session) Begin(found disk.Found) (arguments []string, end func(orderly bool) error, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("syncthing: begin a session: %w", err)
		}
	}()
	unlock, err := lockState(s.Home, s.Log)
	if err != nil {
		return nil, nil, err
	}
	defer unlock()
	state, err := loadState(s.Home)
	if err != nil {
		return nil, nil, err
	}
	if err := s.forget(&state); err != nil {
		return nil, nil, err
	}
	begun, err := s.new(found)
	if err != nil {
		return nil, nil, err
	}
	// Errors of writing back are told to those who had opened the file system
	// when they happened.
	var folder *os.File
	err = s.Disk.Within(found.Identity, func(top string) error {
		path := filepath.Join(top, config.ProbeDirectory)
		if folder, err = os.Open(path); err != nil {
			return err
		}
		before, err := os.ReadFile(filepath.Join(path, config.SessionFile))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		name := strings.TrimSpace(string(before))
		if !s.inOrder(state.Session, begun, name) {
			stored, err := lastStored(path)
			if err != nil {
				return err
			}
			if err := s.distrust(&state, begun, stored); err != nil {
				return err
			}
		}
		err = writeName(path, begun.Name)
		if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) {
			// A full disk goes on under the last name, which copies of it bear, too: its
			// end proves nothing.
			begun.Name, begun.Unnamed, err = name, true, nil
		}
		return err
	})
	last := state.Session
	if err == nil {
		state.Session = begun
		err = state.save(s.Home)
	}
	if err != nil {
		if folder != nil {
			folder.Close()
		}
		return nil, nil, err
	}
	s.abandoned.Store(nil)
	again := last.Boot != begun.Boot // the board may be another one's copy
	for _, memory := range state.Shares {
		again = again || memory.Behind
	}
	if again {
		// The numbers of changes may have fallen back with the index: what they count
		// anew would never be sent.
		arguments = []string{resetDeltas}
	}
	return arguments, func(orderly bool) error { return s.end(found, folder, begun, orderly) }, nil
}

// writeName writes the session's name on the disk, stored.
func writeName(folder, name string) error {
	_, err := mounted.Replace(filepath.Join(folder, config.SessionFile), []byte(name+"\n"), 0o660)
	return err
}

func (s *Session) new(found disk.Found) (session, error) {
	boot := s.boot
	if boot == "" {
		content, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
		if err != nil {
			return session{}, err
		}
		boot = strings.TrimSpace(string(content))
	}
	return session{Name: rand.Text(), Generation: found.Sentinel.Generation, Boot: boot, Superblock: superblock(found)}, nil
}

// superblock numbers a file system from its first mounting to its last
// unmounting: the kernel makes a folder for it in sysfs, and gives no number
// twice. The numbers of mounts don't serve: each container has its own.
func superblock(found disk.Found) uint64 {
	name := found.Sentinel.UUID
	if found.FileSystem != "btrfs" {
		device := fmt.Sprintf("/sys/dev/block/%d:%d", unix.Major(found.Identity.Device), unix.Minor(found.Identity.Device))
		target, err := os.Readlink(device)
		if err != nil {
			return 0
		}
		name = filepath.Base(target)
	}
	var info unix.Stat_t
	if err := unix.Stat(filepath.Join("/sys/fs", found.FileSystem, name), &info); err != nil {
		return 0
	}
	return info.Ino
}

// inOrder says whether the disk still has all that the index knows.
func (s *Session) inOrder(last, begun session, onDisk string) bool {
	if last.Generation != begun.Generation || last.Name != onDisk {
		return false
	}
	stayed := s.abandoned.Load() == nil && begun.Superblock != 0 && last.Superblock == begun.Superblock && last.Boot == begun.Boot
	return last.Ended && !last.Unnamed || stayed
}

// lastStored is the last moment of which the disk knows: gates write in their
// folder every few seconds.
func lastStored(folder string) (time.Time, error) {
	info, err := os.Stat(folder)
	if err != nil {
		return time.Time{}, err
	}
	last := inodeTime(info)
	if info, err := os.Stat(filepath.Join(folder, config.SessionFile)); err == nil && inodeTime(info).After(last) {
		last = inodeTime(info)
	}
	return last, nil
}

// clockMargin is how much later than the last stored moment a disk may have
// been written.
const clockMargin = time.Minute

// back is when the disk came back, or when the clock is ahead of that for sure: a
// board without a battery may begin with one that is behind, and what the disk
// was written before would seem to be later.
func (s *Session) back(last, begun session, stored time.Time) time.Time {
	abandoned := s.abandoned.Load()
	switch {
	case now().Before(stored):
		return stored.Add(clockMargin)
	case abandoned != nil && abandoned.Before(stored):
		return now()
	case abandoned != nil:
		return *abandoned
	case last.Boot == begun.Boot:
		return now()
	}
	var uptime unix.Timespec
	earliest := stored.Add(clockMargin)
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &uptime); err != nil {
		return earliest
	}
	if booted := now().Add(-time.Duration(uptime.Nano())); booted.After(earliest) {
		return booted
	}
	return earliest
}

// indexFiles is where Syncthing keeps its index, within its home.
const indexFiles = "index-*"

// forget makes every share begin anew where Syncthing's index is gone: what is
// scanned without it would seem to be newer than what the others have.
func (s *Session) forget(state *state) error {
	index, err := filepath.Glob(filepath.Join(s.Home, indexFiles))
	if err != nil {
		return err
	}
	if len(state.Shares) == 0 {
		// Nothing was shared, or what we remembered is lost: then, too, the reconciler
		// looks first.
		return s.isolate(state.Device)
	}
	if index != nil {
		return nil
	}
	s.Log.Warn("Syncthing's index is gone: the shares begin with a new one and first take what the others have")
	if err := s.isolate(state.Device); err != nil {
		return err
	}
	for share := range state.Shares {
		state.Shares[share] = shareState{}
	}
	return state.save(s.Home)
}

// distrust makes the shares of a torn disk receive.
func (s *Session) distrust(state *state, begun session, stored time.Time) error {
	back := s.back(state.Session, begun, stored)
	var torn []string
	for _, share := range sortedKeys(state.Shares) {
		memory := state.Shares[share]
		if memory.Generation != begun.Generation {
			continue // the reconciler sees to another disk
		}
		torn = append(torn, share)
		if !memory.Settling && !memory.Receiving || memory.Stored.IsZero() || stored.Before(memory.Stored) {
			memory.Stored = stored
		}
		memory.Since = back
		if state.Session.Boot != begun.Boot {
			memory.Behind, memory.Receiving = true, true
		}
		memory.Settling = !memory.Receiving // who receives is settled then
		state.Shares[share] = memory
	}
	if torn == nil {
		return nil
	}
	s.Log.Warn("the disk wasn't left in order: its shares first take what the others have", "shares", torn)
	return s.isolate(state.Device)
}

// isolate makes Syncthing, which isn't running, begin alone and quiet.
func (s *Session) isolate(self config.DeviceID) error {
	path := filepath.Join(s.Home, configFile)
	content, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if content, err = isolated(content, self); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	_, err = mounted.Replace(path, content, 0o600)
	return err
}

func (s *Session) end(found disk.Found, folder *os.File, ended session, orderly bool) error {
	defer folder.Close()
	if !orderly {
		s.abandoned.Store(new(now()))
		// For a gate that comes after this one. The lock may be held for a while, and
		// this gate has other things to do.
		go func() { _ = s.close(ended, func(last *session) { last.Superblock = 0 }) }()
		return nil
	}
	name := rand.Text()
	err := errors.Join(os.NewSyscallError("syncfs", unix.Syncfs(int(folder.Fd()))), s.storeIndex())
	if err == nil {
		err = s.Disk.Within(found.Identity, func(top string) error {
			return writeName(filepath.Join(top, config.ProbeDirectory), name)
		})
	}
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) {
		return s.close(ended, func(last *session) { last.Ended, last.Unnamed = true, true })
	}
	if err != nil {
		s.abandoned.Store(new(now()))
		return errors.Join(fmt.Errorf("syncthing: end a session: %w", err), s.close(ended, func(last *session) { last.Superblock = 0 }))
	}
	return s.close(ended, func(last *session) { last.Name, last.Ended = name, true })
}

// storeIndex has the system disk store Syncthing's index, which Syncthing leaves
// to the kernel.
func (s *Session) storeIndex() error {
	files, err := filepath.Glob(filepath.Join(s.Home, indexFiles, "*"))
	if err != nil {
		return err
	}
	folders, err := filepath.Glob(filepath.Join(s.Home, indexFiles))
	for _, path := range slices.Concat(files, folders) {
		file, openErr := os.Open(path)
		if openErr == nil {
			openErr = errors.Join(file.Sync(), file.Close())
		}
		err = errors.Join(err, openErr)
	}
	return err
}

// close notes how a session ended, unless another one has begun since.
func (s *Session) close(ended session, note func(*session)) error {
	unlock, err := lockState(s.Home, s.Log)
	if err != nil {
		return err
	}
	defer unlock()
	state, err := loadState(s.Home)
	if err != nil {
		return err
	}
	if state.Session != ended {
		return nil
	}
	note(&state.Session)
	return state.save(s.Home)
}

// now has no more than what a file remembers of a time.
func now() time.Time { return time.Now().UTC().Round(0) }

// quiet is how a folder must be while its differences are settled: it sends
// nothing, and looks only when it is told to. Its fields have the same names in
// the file and in the REST interface.
var quiet = object{"type": "receiveonly", "fsWatcherEnabled": false, "rescanIntervalS": 0.0}

// isolated makes every folder of a configuration quiet and pauses all devices
// but our own: what the others have doesn't change under a share that is
// settled.
func isolated(content []byte, self config.DeviceID) ([]byte, error) {
	document := etree.NewDocument()
	if err := document.ReadFromBytes(content); err != nil {
		return nil, err
	}
	root := document.Root()
	if root == nil || root.Tag != "configuration" {
		return nil, errors.New("is no configuration of Syncthing")
	}
	for _, folder := range root.SelectElements("folder") {
		for _, attribute := range sortedKeys(quiet) {
			folder.CreateAttr(attribute, fmt.Sprint(quiet[attribute]))
		}
	}
	for _, device := range root.SelectElements("device") {
		if id := device.SelectAttrValue("id", ""); id == "" || id == string(self) {
			continue
		}
		paused := device.SelectElement("paused")
		if paused == nil {
			paused = device.CreateElement("paused")
		}
		paused.SetText("true")
	}
	return document.WriteToBytes()
}
