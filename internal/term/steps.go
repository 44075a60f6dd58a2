// Package term shows a person how far a command is: one line per step, with
// its time, and what a slow step waits for. It knows terminals from files and
// decides nothing.
package term

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"
)

// quiet is how long a plain step may run before it says what it waits for, and
// how long it then says nothing new.
const (
	quiet = 3 * time.Second
	often = 10 * time.Second
)

// Steps prints the steps of a command. On a terminal the line of the running
// step moves; elsewhere there are plain lines only.
type Steps struct {
	out   io.Writer
	moves bool
}

// NewSteps makes Steps that write to w.
func NewSteps(w io.Writer) *Steps {
	return &Steps{out: w, moves: IsTerminal(w) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"}
}

// IsTerminal says whether a person looks at w, or types into it.
func IsTerminal(w any) bool {
	file, ok := w.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}

// Run does one step and prints "✓ title  3.2s", or ✗ when it fails.
func (s *Steps) Run(title string, do func(*Step) error) error {
	step := &Step{steps: s, title: title, start: time.Now()}
	stop := step.move()
	err := do(step)
	stop()

	step.mutex.Lock()
	defer step.mutex.Unlock()
	sign, note := "✓", step.note
	if err != nil {
		sign, note = "✗", ""
	}
	if note != "" {
		note = ": " + note
	}
	fmt.Fprintf(s.out, "%s%s %s%s  %s\n", s.clear(), sign, title, note, seconds(time.Since(step.start)))
	return err
}

// Say prints a line between steps.
func (s *Steps) Say(format string, arguments ...any) {
	fmt.Fprintf(s.out, format+"\n", arguments...)
}

func (s *Steps) clear() string {
	if s.moves {
		return "\r\x1b[K"
	}
	return ""
}

// Step is a running step. Its methods may be called from several goroutines.
type Step struct {
	steps *Steps
	title string
	start time.Time

	mutex  sync.Mutex
	detail string
	said   time.Time // when detail was printed
	note   string
}

// Waits tells what the step waits for now. Plain output shows it when it has
// changed, from time to time, once the step has run for a while.
func (s *Step) Waits(format string, arguments ...any) {
	text := fmt.Sprintf(format, arguments...)
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if text == s.detail {
		return
	}
	if !s.steps.moves && (time.Since(s.start) < quiet || time.Since(s.said) < often) {
		return
	}
	s.detail, s.said = text, time.Now()
	if !s.steps.moves {
		fmt.Fprintf(s.steps.out, "  · %s\n", text)
	}
}

// Say prints a line that stays, below the steps before.
func (s *Step) Say(format string, arguments ...any) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	fmt.Fprintf(s.steps.out, "%s  · %s\n", s.steps.clear(), fmt.Sprintf(format, arguments...))
}

// Done says with what result the step will end, as "unchanged".
func (s *Step) Done(format string, arguments ...any) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.note = fmt.Sprintf(format, arguments...)
}

// move redraws the step's line on a terminal until the returned function is
// called, which waits for the last drawing.
func (s *Step) move() (stop func()) {
	if !s.steps.moves {
		return func() {}
	}
	end, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(120 * time.Millisecond)
		defer tick.Stop()
		for frame := 0; ; frame++ {
			s.draw(frame)
			select {
			case <-end:
				return
			case <-tick.C:
			}
		}
	}()
	return func() {
		close(end)
		<-ended
	}
}

const frames = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"

func (s *Step) draw(frame int) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	detail := ""
	if s.detail != "" {
		detail = " · " + s.detail
	}
	signs := []rune(frames)
	line := fmt.Sprintf("%c %s  %s%s", signs[frame%len(signs)], s.title, seconds(time.Since(s.start)), detail)
	fmt.Fprint(s.steps.out, s.steps.clear(), cut(line, width(s.steps.out)))
}

func width(w io.Writer) int {
	if file, ok := w.(*os.File); ok {
		if columns, _, err := term.GetSize(int(file.Fd())); err == nil && columns > 10 {
			return columns
		}
	}
	return 80
}

// cut keeps a line on one row: a wrapped line can't be redrawn.
func cut(line string, columns int) string {
	runes := []rune(strings.ReplaceAll(line, "\n", " "))
	if len(runes) < columns {
		return string(runes)
	}
	return string(runes[:columns-2]) + "…"
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.1fs", d.Seconds()) }
