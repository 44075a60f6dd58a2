package gate

import (
	"crypto/sha256"
	"fmt"
	"os"
	"syscall"
	"time"
)

const (
	// lookEvery is the time between two looks at what is followed.
	lookEvery = time.Second
	// beginsWithin is how long a daemon may take until it knows what HUP means;
	// before, it would die of it.
	beginsWithin = 3 * time.Second
	// reloadLimit is how long a reload may take.
	reloadLimit = 30 * time.Second
)

// reloading is what a gate knows of what its daemon has read.
type reloading struct {
	looked   chan look
	looking  bool
	known    string    // the look that the daemon knows
	since    time.Time // the daemon's start
	pending  string    // the look that it is being told of
	teller   *child    // the command that tells it
	limit    *time.Timer
	failed   int       // attempts in a row
	tryAgain time.Time // not before
}

// retryAfter is the time between attempts to tell a daemon of a change, longer
// and longer.
func retryAfter(failed int) time.Duration { return min(time.Second<<min(failed, 6), time.Minute) }

// look is what was seen of what is followed.
type look struct {
	turn  uint64
	print string
}

// look looks aside: a folder that is followed may hang with its disk.
func (r *run) look() {
	if len(r.Follow) == 0 || r.looking || r.teller != nil || !r.serving() || time.Since(r.since) < beginsWithin || time.Now().Before(r.tryAgain) {
		return
	}
	r.looking = true
	turn, looked := r.turn, r.looked
	go func() { looked <- look{turn, fingerprint(r.Follow)} }()
}

func (r *run) serving() bool { return r.child != nil && r.dead == nil && !r.closing && !r.ending }

// reload tells the daemon of a change.
func (r *run) reload(l look) {
	if l.turn != r.turn {
		return // at what a daemon had read that has ended
	}
	r.looking = false
	if !r.serving() || l.print == r.known {
		return
	}
	r.Log.Info("the daemon reads its configuration again", "command", r.Command[0])
	if len(r.Reload) == 0 {
		r.known = l.print
		r.child.signal(syscall.SIGHUP)
		return
	}
	command, err := r.reaper.start(r.Reload, r.Log)
	if err != nil {
		r.reloadFailed("because", err)
		return
	}
	r.pending, r.teller = l.print, command
	r.limit = time.AfterFunc(reloadLimit, func() { command.signalGroup(syscall.SIGKILL) })
}

// reloaded notes the end of the command that tells the daemon of a change.
func (r *run) reloaded(e ended) {
	if r.teller == nil || e.pid != r.teller.pid {
		return
	}
	r.limit.Stop()
	r.teller = nil
	if e.code() != 0 {
		r.reloadFailed("exit", e.code())
		return
	}
	r.known, r.failed = r.pending, 0
}

func (r *run) reloadFailed(why ...any) {
	r.failed++
	wait := retryAfter(r.failed)
	r.tryAgain = time.Now().Add(wait)
	r.Log.Warn("the daemon can't be told to read its configuration again", append(why, "command", r.Reload[0], "next try after", wait)...)
}

// fingerprint changes with the content of files and the names in folders. What
// can't be read is a state like any other.
func fingerprint(paths []string) string {
	hash := sha256.New()
	for _, path := range paths {
		entries, err := os.ReadDir(path)
		for _, entry := range entries {
			fmt.Fprintf(hash, "%q ", entry.Name())
		}
		if err != nil {
			var content []byte
			content, err = os.ReadFile(path)
			fmt.Fprintf(hash, "%q ", content)
		}
		fmt.Fprintf(hash, "%v\n", err)
	}
	return string(hash.Sum(nil))
}
