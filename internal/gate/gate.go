// Package gate runs a daemon only while the right disk is there: it starts it,
// ends it when the disk goes, and starts it again when the disk is back. It
// judges no disk itself (package disk does) and makes nothing on one.
package gate

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"github.com/tmorin/homecloud/internal/complaint"
	"github.com/tmorin/homecloud/internal/disk"
)

// closeGrace is how long a daemon gets to end when its disk is gone: it can't
// save anything any more.
const closeGrace = 3 * time.Second

// exitTerminated is the exit code when the gate is asked to end while no
// daemon runs.
const exitTerminated = 128 + int(syscall.SIGTERM)

// Gate is a daemon and the disk it depends on.
type Gate struct {
	Watch   *disk.Watch
	Command []string // program and arguments
	Status  string   // status file; empty: none
	Log     *slog.Logger
	// Begin, if set, is asked on every start before the daemon. An error keeps
	// the gate closed; Begin is asked again until it agrees. It may give the daemon
	// more arguments for this start. The function that it returns is called once,
	// after the last process of the daemon has ended: with true while the disk is
	// right as far as the gate knows, with false when it isn't or nobody waits any
	// longer. Both may hang with the disk.
	Begin func(disk.Found) (arguments []string, end func(orderly bool) error, err error)
	// Follow names what the daemon has read: when a file's content changes, or
	// the names in a folder, the daemon is told to read it again.
	Follow []string
	// Reload is the program, with its arguments, that tells the daemon so. An
	// exit code other than 0 lets it be tried again. Empty: the daemon gets HUP.
	Reload []string
}

// beginAgain is the time between two askings of a Begin that doesn't agree.
const beginAgain = 5 * time.Second

// Run keeps the gate until the daemon ends by itself while the disk is right,
// or the gate is asked to end (TERM or INT). The result is the exit code to
// end with. Run takes over the process: it reaps every child there is and
// handles its signals.
func (g *Gate) Run(ctx context.Context) (int, error) {
	ctx, cancel := context.WithCancel(ctx)
	reaper, err := newReaper()
	if err != nil {
		cancel()
		return 1, err
	}
	defer reaper.close()
	status := status{path: g.Status}
	if err := status.write(false, "the disk is being checked"); err != nil {
		cancel()
		return 1, err
	}
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGUSR2)
	defer signal.Stop(signals)

	verdicts := make(chan disk.Verdict, 1)
	watched := make(chan error, 1)
	go func() { watched <- g.Watch.Run(ctx, func(v disk.Verdict) { replace(verdicts, v) }) }()
	defer func() {
		cancel()
		// A probe may hang in the kernel; the watch itself never does.
		<-watched
	}()

	r := &run{Gate: g, reaper: reaper, status: status, conclusions: make(chan disk.Verdict, 1),
		begun: make(chan beginning, 1), stored: make(chan uint64, 1), reloading: reloading{looked: make(chan look, 1)}}
	defer r.abandon()
	looks := time.NewTicker(lookEvery)
	defer looks.Stop()
	for {
		select {
		case v := <-verdicts:
			if err := r.follow(v); err != nil {
				return 1, err
			}
		case s := <-signals:
			if done, code := r.signal(s.(syscall.Signal)); done {
				return code, nil
			}
		case e := <-reaper.ended:
			if final, code, err := r.reaped(ctx, e); final || err != nil {
				return code, err
			}
		case <-r.again:
			r.again = nil
			r.begin()
		case b := <-r.begun:
			if err := r.launch(b); err != nil {
				return 1, err
			}
		case turn := <-r.stored:
			if turn != r.turn {
				continue // of a daemon that nobody waits for any more
			}
			if final, code, err := r.ended(ctx); final || err != nil {
				return code, err
			}
		case <-looks.C:
			r.look()
		case l := <-r.looked:
			r.reload(l)
		case now := <-r.conclusions:
			if final, code, err := r.conclude(now); final || err != nil {
				return code, err
			}
		case err := <-watched:
			watched <- err
			return 1, fmt.Errorf("the gate no longer sees the disk: %w", err)
		}
	}
}

// run is the state of a gate; only Run's goroutine touches it.
type run struct {
	*Gate
	reaper *reaper
	status status

	verdict     disk.Verdict      // under which the daemon runs, or doesn't
	next        disk.Verdict      // the newest, while the daemon is ending
	child       *child            // nil while no process of the daemon is left
	dead        *ended            // the daemon itself has ended
	closing     bool              // the daemon was told to end because of the disk
	ending      bool              // the gate itself was asked to end
	conclusions chan disk.Verdict // what the disk is after the daemon ended by itself

	turn    uint64           // counts the starts
	again   <-chan time.Time // when Begin, which didn't agree, is asked again
	refused string           // why Begin didn't agree, as said last
	begun   chan beginning   // what Begin has said
	stored  chan uint64      // the turn whose end function has returned
	end     func(bool) error // of the daemon that runs; nil: none to call
	saving  bool             // the end function is running

	reloading
}

// beginning is an answer of Begin.
type beginning struct {
	turn      uint64
	arguments []string // more, for the daemon
	end       func(bool) error
	err       error
	look      string // at what the daemon is going to read
}

// follow acts on a verdict.
func (r *run) follow(v disk.Verdict) error {
	switch {
	case v.Turn <= r.verdict.Turn:
		return nil // known already from concluding
	case r.ending:
		return nil
	case r.saving && !v.Same(r.verdict):
		// What can't be stored any more isn't waited for.
		r.saving = false
		return r.start(v)
	case r.closing || r.dead != nil:
		r.next = v
		return nil
	case r.child == nil && r.verdict.Open && v.Same(r.verdict):
		r.verdict = v // Begin hasn't answered yet
		return nil
	case r.child == nil:
		return r.start(v)
	case v.Same(r.verdict):
		r.verdict = v
		r.tell(v)
		return r.status.write(true, v.Reason)
	}
	reason := v.Reason
	if v.Open {
		reason = "the disk has been mounted anew"
	}
	r.closed(reason)
	r.next, r.closing = v, true
	r.child.end(closeGrace)
	return r.status.write(false, reason)
}

// start starts the daemon if the verdict allows it.
func (r *run) start(v disk.Verdict) error {
	r.abandon()
	r.verdict, r.closing, r.dead, r.again = v, false, nil, nil
	r.turn++
	r.tell(v)
	if !v.Open {
		return r.status.write(false, v.Reason)
	}
	if r.Begin == nil && len(r.Follow) == 0 {
		return r.launch(beginning{turn: r.turn})
	}
	r.begin()
	return r.status.write(false, "the daemon's start is being prepared")
}

// begin asks Begin and looks at what is followed, aside: both may hang with the
// disk.
func (r *run) begin() {
	turn, found := r.turn, r.verdict.Found
	go func() {
		b := beginning{turn: turn}
		if r.Begin != nil {
			b.arguments, b.end, b.err = r.Begin(found)
		}
		b.look = fingerprint(r.Follow)
		r.begun <- b
	}()
}

// launch starts the daemon that Begin has prepared.
func (r *run) launch(b beginning) error {
	if b.turn != r.turn || r.child != nil {
		if b.end != nil {
			r.abandonEnd(b.end)
		}
		return nil
	}
	if b.err != nil {
		if reason := b.err.Error(); reason != r.refused {
			r.refused = reason
			r.closed(reason)
		}
		r.again = time.After(beginAgain)
		return r.status.write(false, b.err.Error())
	}
	r.end, r.refused = b.end, ""
	child, err := r.reaper.start(slices.Concat(r.Command, b.arguments), r.Log)
	if err != nil {
		return err
	}
	r.child = child
	r.reloading = reloading{looked: r.looked, known: b.look, since: time.Now()}
	complaint.Settle(r.Log, "gate open", complaint.Gate, "disk", r.Watch.Path(), "generation", r.verdict.Found.Sentinel.Generation, "command", r.Command[0], "pid", child.pid)
	return r.status.write(true, r.verdict.Reason)
}

// abandon lets go of what Begin has begun on a disk that isn't right any more.
func (r *run) abandon() {
	if r.end != nil {
		r.abandonEnd(r.end)
		r.end = nil
	}
}

func (r *run) abandonEnd(end func(bool) error) {
	if err := end(false); err != nil {
		r.Log.Warn("the daemon's end isn't recorded", "because", err)
	}
}

// save calls the end function aside and says whether there is one.
func (r *run) save() bool {
	if r.end == nil || r.closing {
		return false
	}
	end, turn := r.end, r.turn
	r.end, r.saving = nil, true
	go func() {
		if err := end(true); err != nil {
			r.Log.Warn("the daemon's end isn't recorded", "because", err)
		}
		r.stored <- turn
	}()
	return true
}

func (r *run) closed(reason string) { complaint.Raise(r.Log, "gate closed", complaint.Gate, reason) }

// tell says why nothing runs, or what is wrong with a disk that serves.
func (r *run) tell(v disk.Verdict) {
	switch {
	case !v.Open:
		r.closed(v.Reason)
	case v.Reason != "":
		r.Log.Warn("the disk needs attention", "because", v.Reason)
	}
}

// signal passes a signal on. It returns true when it asks to end and there is
// nobody to pass it to.
func (r *run) signal(s syscall.Signal) (final bool, code int) {
	asksToEnd := s == syscall.SIGTERM || s == syscall.SIGINT
	switch {
	case r.saving && asksToEnd:
		r.ending = true // the end is being recorded; whoever asked has patience, or kills
	case r.child == nil && r.dead != nil && asksToEnd:
		return true, r.dead.code()
	case r.child == nil:
		return asksToEnd, exitTerminated
	case !asksToEnd:
		r.child.signal(s)
	default:
		// The daemon has as long as whoever asked gives the gate.
		r.ending = true
		r.child.signalGroup(syscall.SIGTERM)
	}
	return false, 0
}

// reaped decides what the end of a process means. Processes that daemons left
// to the gate are only reaped.
func (r *run) reaped(ctx context.Context, e ended) (final bool, code int, err error) {
	if r.child != nil && e.pid == r.child.pid {
		r.dead = &e
		r.Log.Info("the daemon has ended", "command", r.Command[0], "exit", e.code())
	}
	r.reloaded(e)
	if r.child == nil || r.dead == nil || r.child.endRest() > 0 {
		return false, 0, nil
	}
	r.child = nil
	if r.save() {
		return false, 0, nil
	}
	return r.ended(ctx)
}

// ended decides what follows when nothing of the daemon is left.
func (r *run) ended(ctx context.Context) (final bool, code int, err error) {
	r.saving = false
	switch {
	case r.ending:
		return true, r.dead.code(), r.status.write(false, "the gate was asked to end")
	case r.closing:
		return false, 0, r.start(r.next)
	}
	// It may have ended because the disk broke before the gate noticed.
	go func() { r.conclusions <- r.Watch.Now(ctx) }()
	return false, 0, nil
}

// conclude decides what it means that the daemon ended by itself.
func (r *run) conclude(now disk.Verdict) (final bool, code int, err error) {
	if now.Same(r.verdict) {
		return true, r.dead.code(), r.status.write(false, "the daemon has ended")
	}
	if r.next.Turn > now.Turn {
		now = r.next
	}
	return false, 0, r.start(now)
}

// replace puts a value in a channel of one, in place of one not yet read.
func replace[T any](channel chan T, value T) {
	for {
		select {
		case channel <- value:
			return
		default:
		}
		select {
		case <-channel:
		default:
		}
	}
}
