package cloud

import (
	"fmt"
	"io"
	"time"
)

// Steps prints what is done and how long each step took.
type Steps struct {
	Out   io.Writer
	start time.Time
	names []string
	times []time.Duration
}

// Do runs a step.
func (s *Steps) Do(name string, step func() error) error {
	if s.start.IsZero() {
		s.start = time.Now()
	}
	fmt.Fprintf(s.Out, "• %s …\n", name)
	begin := time.Now()
	err := step()
	took := time.Since(begin)
	if err != nil {
		fmt.Fprintf(s.Out, "✗ %s failed after %.1fs\n", name, took.Seconds())
		return fmt.Errorf("%s: %w", name, err)
	}
	s.names, s.times = append(s.names, name), append(s.times, took)
	fmt.Fprintf(s.Out, "✓ %s  %.1fs\n", name, took.Seconds())
	return nil
}

// Summary says how long everything took, and which step was the slowest.
func (s *Steps) Summary() string {
	slowest := 0
	for i := range s.times {
		if s.times[i] > s.times[slowest] {
			slowest = i
		}
	}
	if len(s.names) == 0 {
		return "nothing was done"
	}
	return fmt.Sprintf("%.1fs in all; the slowest step was: %s (%.1fs)", time.Since(s.start).Seconds(), s.names[slowest], s.times[slowest].Seconds())
}
