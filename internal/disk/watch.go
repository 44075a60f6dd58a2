package disk

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// Verdict is what a watch says about the disk.
type Verdict struct {
	Open   bool   // the right disk is there and answers
	Reason string // why not; when open, what a person should still know
	// Found is what the last check found; meaningful when Open.
	Found Found
	// Mounting distinguishes mountings that the kernel numbers alike.
	Mounting uint64
	// Turn grows with every change: of two verdicts it tells the newer.
	Turn uint64
}

// Same says whether a daemon started under one verdict may go on under the
// other.
func (v Verdict) Same(other Verdict) bool {
	return v.Open == other.Open && v.Mounting == other.Mounting && v.Found.Identity == other.Found.Identity
}

// Watch follows one disk.
type Watch struct {
	Expectation
	// Interval of the read probes, 2 s by default. A change of the mount table
	// is looked at immediately.
	Interval time.Duration
	// WriteInterval of the write probes, 15 s by default.
	WriteInterval time.Duration
	// ReadLimit is how long a read may take, 20 s by default: a sleeping disk
	// needs up to ten to spin up.
	ReadLimit time.Duration
	// WriteLimit is how long a flush may take, 60 s by default: it waits for
	// what others have written.
	WriteLimit time.Duration
	Log        *slog.Logger

	fresh chan chan Verdict
}

// NewWatch fills in the defaults.
func NewWatch(expected Expectation, log *slog.Logger) *Watch {
	return &Watch{
		Expectation: expected, Interval: 2 * time.Second, WriteInterval: 15 * time.Second,
		ReadLimit: 20 * time.Second, WriteLimit: time.Minute, Log: log,
		fresh: make(chan chan Verdict),
	}
}

// Now returns a verdict that rests only on probes begun after the call. It
// works while Run does; otherwise it returns when ctx ends.
func (w *Watch) Now(ctx context.Context) Verdict {
	answer := make(chan Verdict, 1)
	select {
	case w.fresh <- answer:
	case <-ctx.Done():
		return Verdict{Reason: "the watch has ended"}
	}
	select {
	case v := <-answer:
		return v
	case <-ctx.Done():
		return Verdict{Reason: "the watch has ended"}
	}
}

// Run calls report with the first verdict and with every change, from one
// goroutine, until ctx ends.
func (w *Watch) Run(ctx context.Context, report func(Verdict)) error {
	point := w.Path()
	if root, err := filepath.EvalSymlinks(w.Root); err == nil {
		point = filepath.Join(root, w.Disk)
	}
	table, err := watchMounts(point)
	if err != nil {
		return err
	}
	defer table.Close()
	ticker := time.NewTicker(w.Interval)
	defer ticker.Stop()

	s := &watchState{
		Watch: w, table: table, report: report, told: map[string]bool{},
		probeName: fmt.Sprintf("%s%d-%x", probePrefix, os.Getpid(), time.Now().UnixNano()),
	}
	s.read.limit, s.write.limit = w.ReadLimit, w.WriteLimit
	s.read.results, s.write.results = make(chan outcome, maxStuck+1), make(chan outcome, maxStuck+1)
	s.startRead()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-table.changed:
			s.startRead()
		case <-ticker.C:
			table.look()
			s.startRead()
		case answer := <-w.fresh:
			s.waiting = append(s.waiting, waiter{answer: answer, since: time.Now()})
			s.startRead()
		case o := <-s.read.results:
			s.afterRead(o)
		case o := <-s.write.results:
			s.afterWrite(o)
		}
		mounting := table.mountings.Load()
		if s.read.abandonReplaced(mounting) {
			s.readError, s.wrote = errors.New("the disk that was mounted before has died"), false
			s.startRead()
		}
		if s.write.abandonReplaced(mounting) {
			s.wrote = false
		}
		s.judge()
	}
}

// watchState is what Run keeps between two events; only its goroutine
// touches it.
type watchState struct {
	*Watch
	table     *mountWatch
	report    func(Verdict)
	told      map[string]bool // what was said once
	probeName string

	read, write probe
	readAgain   bool // asked for while one was running

	found     Found
	readOn    uint64    // count of mountings before the read behind found
	mounting  uint64    // the same, zero where mounts have numbers of their own
	readAt    time.Time // when the read behind found was begun
	readError error

	written    Identity // what the last write probe was about
	writtenOn  uint64
	writtenAt  time.Time
	writeError error
	wrote      bool

	last    Verdict
	spoken  bool
	waiting []waiter
}

type waiter struct {
	answer chan Verdict
	since  time.Time
}

func (s *watchState) startRead() {
	if s.read.running() {
		s.readAgain = true
		return
	}
	s.read.start(s.table.mountings.Load(), func() outcome {
		found, err := s.Check()
		return outcome{found: found, err: err}
	})
}

func (s *watchState) afterRead(o outcome) {
	if !s.read.finish(o) {
		return
	}
	s.found, s.readError, s.readOn, s.readAt = o.found, o.err, o.mounting, o.began
	// The count may grow a moment after the mount was seen: where the kernel
	// tells mounts apart by itself, it would only cause a needless restart.
	s.mounting = o.mounting
	if o.found.Identity.Unique {
		s.mounting = 0
	}
	if o.err != nil {
		s.wrote = false // a disk that comes back is asked to write first
	}
	for _, note := range o.found.Unproved {
		if !s.told[note] {
			s.told[note] = true
			s.Log.Warn("not everything can be checked here", "disk", s.Path(), "because", note)
		}
	}
	if s.readAgain {
		s.readAgain = false
		s.startRead()
	}
	if o.err == nil && s.writeDue() {
		s.startWrite()
	}
}

func (s *watchState) writeDue() bool {
	if !s.wrote || s.written != s.found.Identity || s.writtenOn != s.mounting || s.writeError != nil {
		return true
	}
	return s.awaited() || time.Since(s.writtenAt) >= s.WriteInterval
}

// awaited says whether somebody waits for a newer write probe.
func (s *watchState) awaited() bool {
	return slices.ContainsFunc(s.waiting, func(w waiter) bool { return s.writtenAt.Before(w.since) })
}

func (s *watchState) startWrite() {
	if s.write.running() {
		return
	}
	expected := s.found.Identity
	first := !s.wrote || s.written != expected
	mounting := s.mounting
	s.write.start(s.readOn, func() outcome {
		if first {
			removeLeftProbes(s.Path())
		}
		err := s.ProbeWrite(expected, s.probeName)
		return outcome{found: Found{Identity: expected}, writtenOn: mounting, err: err}
	})
}

func (s *watchState) afterWrite(o outcome) {
	if !s.write.finish(o) {
		return
	}
	s.wrote, s.written, s.writtenOn, s.writtenAt, s.writeError = true, o.found.Identity, o.writtenOn, o.began, o.err
	if s.readError == nil && (s.written != s.found.Identity || s.writtenOn != s.mounting || s.awaited()) {
		s.startWrite()
	}
}

// judge computes the verdict, reports a change, and answers who waits for one
// that is newer than their question.
func (s *watchState) judge() {
	verdict, decided := s.verdict()
	if decided && (!s.spoken || !verdict.Same(s.last) || verdict.Reason != s.last.Reason) {
		verdict.Turn = s.last.Turn + 1
		s.spoken, s.last = true, verdict
		s.report(verdict)
	}
	rest := s.waiting[:0]
	for _, waiter := range s.waiting {
		switch {
		case s.read.overdue(), s.write.overdue():
		case s.readAt.Before(waiter.since), s.readError == nil && (!decided || s.writtenAt.Before(waiter.since)):
			rest = append(rest, waiter)
			continue
		}
		waiter.answer <- s.last
	}
	s.waiting = rest
}

// verdict returns false while the first write probe of a mounting is still
// running: nothing is known yet that would be worth a word.
func (s *watchState) verdict() (Verdict, bool) {
	closed := func(reason string) (Verdict, bool) { return Verdict{Reason: reason, Mounting: s.mounting}, true }
	switch {
	case s.read.overdue():
		return closed(fmt.Sprintf("%s hasn't answered a read for %s", s.Path(), s.ReadLimit))
	case s.write.overdue():
		return closed(fmt.Sprintf("%s hasn't answered a write for %s", s.Path(), s.WriteLimit))
	case s.readAt.IsZero():
		return Verdict{}, false
	case s.readError != nil:
		return closed(s.readError.Error())
	case !s.wrote || s.written != s.found.Identity || s.writtenOn != s.mounting:
		if s.spoken && s.last.Open {
			return closed(fmt.Sprintf("%s has been mounted anew", s.Path()))
		}
		return Verdict{}, false
	case errors.Is(s.writeError, ErrFull):
		return Verdict{Open: true, Reason: s.writeError.Error(), Found: s.found, Mounting: s.mounting}, true
	case s.writeError != nil:
		return closed(s.writeError.Error())
	}
	return Verdict{Open: true, Found: s.found, Mounting: s.mounting}, true
}
