package disk

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// mountWatch notices at once when the mount table changes.
type mountWatch struct {
	changed chan struct{} // one pending notice is enough
	// mountings counts how often something else was mounted at the point, or
	// nothing. Before Linux 6.8 the number of a mount is given away again at
	// once, so an unmount and a mount between two checks would look like one.
	mountings atomic.Uint64

	point string
	lock  sync.Mutex
	last  Mount // guarded by lock

	table *os.File
	stop  *os.File
	done  chan struct{}
}

// watchMounts follows the mount table until Close. It reads no disk.
func watchMounts(point string) (*mountWatch, error) {
	table, err := os.Open(mountTable)
	if err != nil {
		return nil, fmt.Errorf("watch the mount table: %w", err)
	}
	read, write, err := os.Pipe()
	if err != nil {
		table.Close()
		return nil, fmt.Errorf("watch the mount table: %w", err)
	}
	w := &mountWatch{changed: make(chan struct{}, 1), point: point, last: mountedAt(point), table: table, stop: write, done: make(chan struct{})}
	go func() {
		defer close(w.done)
		defer read.Close()
		w.run(int(read.Fd()))
	}()
	return w, nil
}

// look compares what is mounted at the point with the last time. The kernel
// doesn't announce every change (Linux 6.18 is silent about some mounts over
// another one, measured), so look is also called between.
func (w *mountWatch) look() {
	w.lock.Lock()
	defer w.lock.Unlock()
	if now := mountedAt(w.point); now != w.last {
		w.last = now
		w.mountings.Add(1)
	}
}

func (w *mountWatch) run(stop int) {
	for {
		// Go's own poller doesn't wait for POLLPRI, which is what the mount
		// table raises.
		wait := []unix.PollFd{{Fd: int32(w.table.Fd()), Events: unix.POLLPRI}, {Fd: int32(stop), Events: unix.POLLIN}}
		if _, err := unix.Poll(wait, -1); err != nil {
			if errors.Is(err, unix.EINTR) {
				continue
			}
			return // the checks every other second go on
		}
		if wait[1].Revents != 0 {
			return
		}
		w.look()
		select {
		case w.changed <- struct{}{}:
		default:
		}
	}
}

// Close ends the watch and waits for it.
func (w *mountWatch) Close() {
	w.stop.Close()
	<-w.done
	w.table.Close()
}

// mountedAt is what is mounted at a point now; zero when nothing is.
func mountedAt(point string) Mount {
	table, err := mounts()
	if err != nil {
		return Mount{}
	}
	mount, _ := lastAt(table, point)
	return mount
}
