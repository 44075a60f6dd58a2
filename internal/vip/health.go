// Package vip helps keepalived to hold the virtual address: it removes an
// address that a killed keepalived left behind, and writes down which services
// are healthy. Who holds the address is keepalived's decision alone.
package vip

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"time"

	"github.com/tmorin/homecloud/internal/mounted"
)

// Check is one service whose health counts.
type Check struct {
	Name    string // of the file that keepalived tracks
	Address string // TCP, host:port
}

// ParseCheck reads NAME=tcp:HOST:PORT.
func ParseCheck(text string) (Check, error) {
	name, target, found := strings.Cut(text, "=")
	kind, address, typed := strings.Cut(target, ":")
	if !found || !typed || kind != "tcp" {
		return Check{}, fmt.Errorf("%q: write NAME=tcp:HOST:PORT", text)
	}
	if name == "" || name != filepath.Base(name) || strings.HasPrefix(name, ".") {
		return Check{}, fmt.Errorf("%q: %q can't be a file's name", text, name)
	}
	if _, _, err := net.SplitHostPort(address); err != nil {
		return Check{}, fmt.Errorf("%q: %w", text, err)
	}
	return Check{Name: name, Address: address}, nil
}

// Health keeps one file per check: 0 when healthy, 1 when not.
type Health struct {
	Dir      string
	Checks   []Check
	Interval time.Duration // 1 s by default
	Timeout  time.Duration // of one try, 1 s by default
	// Failures in a row that make a service unhealthy, 2 by default: one lost
	// packet moves no address. As many successes make it healthy again.
	Failures int
	Log      *slog.Logger
}

// Run checks until ctx ends. Until a service has answered it counts as
// unhealthy.
func (h *Health) Run(ctx context.Context) error {
	if h.Interval == 0 {
		h.Interval = time.Second
	}
	if h.Timeout == 0 {
		h.Timeout = time.Second
	}
	if h.Failures == 0 {
		h.Failures = 2
	}
	states := make([]*health, len(h.Checks))
	for i, check := range h.Checks {
		states[i] = &health{}
		if err := h.write(check, false); err != nil {
			return err
		}
	}
	ticker := time.NewTicker(h.Interval)
	defer ticker.Stop()
	for {
		results := make([]error, len(h.Checks))
		done := make(chan int, len(h.Checks))
		for i, check := range h.Checks {
			go func() {
				results[i] = answers(ctx, check.Address, h.Timeout)
				done <- i
			}()
		}
		for range h.Checks {
			i := <-done
			if ctx.Err() != nil {
				continue
			}
			if !states[i].add(results[i] == nil, h.Failures) {
				continue
			}
			check := h.Checks[i]
			if states[i].healthy {
				h.Log.Info("healthy", "check", check.Name)
			} else {
				h.Log.Warn("unhealthy", "check", check.Name, "because", results[i])
			}
			if err := h.write(check, states[i].healthy); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

func (h *Health) write(check Check, healthy bool) error {
	content := "1\n"
	if healthy {
		content = "0\n"
	}
	// Replaced, not written over: keepalived never reads half a file.
	_, err := mounted.Replace(filepath.Join(h.Dir, check.Name), []byte(content), 0o644)
	if err != nil {
		return fmt.Errorf("vip: %w", err)
	}
	return nil
}

// health counts results in a row.
type health struct {
	healthy bool
	known   bool
	against int // results in a row that contradict healthy
}

// add counts a result and says whether the state has changed. The first
// success counts at once: an address that nobody holds helps nobody.
func (s *health) add(ok bool, needed int) (changed bool) {
	if ok == s.healthy {
		s.against = 0
		return false
	}
	s.against++
	if s.against < needed && (s.known || !ok) {
		return false
	}
	s.healthy, s.known, s.against = ok, true, 0
	return true
}

// answers says whether something accepts connections.
func answers(ctx context.Context, address string, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var dialer net.Dialer
	connection, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		var operation *net.OpError
		if errors.As(err, &operation) {
			return operation.Err
		}
		return err
	}
	return connection.Close()
}

// Answers says whether something accepts connections at a TCP address.
func Answers(ctx context.Context, address string, timeout time.Duration) error {
	if err := answers(ctx, address, timeout); err != nil {
		return fmt.Errorf("%s: %w", address, err)
	}
	return nil
}
