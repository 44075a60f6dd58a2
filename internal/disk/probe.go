package disk

import (
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/tmorin/homecloud/internal/config"
)

// maxStuck bounds the probes that were given up because they hang on a disk
// that has been replaced since: each holds a thread until the kernel lets go.
const maxStuck = 4

// outcome is what one probe found.
type outcome struct {
	found     Found
	writtenOn uint64 // of a write probe: the mounting it was about
	mounting  uint64
	err       error
	began     time.Time
	turn      int
}

// probe runs one thing that may hang, one at a time, beside the caller.
type probe struct {
	limit    time.Duration
	results  chan outcome // has room for all that can be under way
	active   bool
	began    time.Time
	mounting uint64
	turn     int
	stuck    int
}

func (p *probe) running() bool { return p.active }

func (p *probe) overdue() bool { return p.active && time.Since(p.began) >= p.limit }

func (p *probe) start(mounting uint64, run func() outcome) {
	p.turn++
	p.active, p.began, p.mounting = true, time.Now(), mounting
	began, turn := p.began, p.turn
	go func() {
		o := run()
		o.began, o.turn, o.mounting = began, turn, mounting
		p.results <- o
	}()
}

// finish takes an outcome and says whether it is the one that was waited for.
func (p *probe) finish(o outcome) bool {
	if !p.active || o.turn != p.turn {
		p.stuck--
		return false
	}
	p.active = false
	return true
}

// abandonReplaced gives up a probe that hangs on what was mounted before, so
// that what is mounted now can be looked at.
func (p *probe) abandonReplaced(mounting uint64) bool {
	if !p.overdue() || p.mounting == mounting || p.stuck >= maxStuck {
		return false
	}
	p.active = false
	p.stuck++
	return true
}

// probePrefix begins the names of the files that write probes make.
const probePrefix = "gate-"

// leftProbe is the age at which a probe's file belongs to nobody any more.
const leftProbe = time.Hour

// removeLeftProbes removes what probes that were killed have left behind.
// Whatever can't be removed is left: it does no harm.
func removeLeftProbes(path string) {
	folder := filepath.Join(path, config.ProbeDirectory)
	entries, err := os.ReadDir(folder)
	if err != nil {
		return
	}
	for _, entry := range entries {
		info, err := entry.Info()
		if err == nil && strings.HasPrefix(entry.Name(), probePrefix) && time.Since(info.ModTime()) > leftProbe {
			_ = os.Remove(filepath.Join(folder, entry.Name()))
		}
	}
}
