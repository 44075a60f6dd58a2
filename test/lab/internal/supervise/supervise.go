// Package supervise is the first process of a PID namespace: it starts services again
// when they end, and reaps whatever the kernel hands to it.
package supervise

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"
)

// A Service is a program that should run.
type Service struct {
	Name string
	Argv []string
	// Env is added to the environment.
	Env []string
	// Log is the file that collects what it prints.
	Log string
	// Ready blocks until the service may start; nil is at once.
	Ready func()
	// Wanted is asked before each start; nil is always.
	Wanted func() bool
}

// again is the pause before a service is started once more.
const again = 300 * time.Millisecond

// A Supervisor owns all children of this process.
type Supervisor struct {
	mu       sync.Mutex // held over start and reap, so that no child ends before it is known
	children map[int]chan struct{}
	current  map[string]int
	wake     map[string]chan struct{}
}

// New makes the supervisor and begins to reap.
func New() *Supervisor {
	s := &Supervisor{children: map[int]chan struct{}{}, current: map[string]int{}, wake: map[string]chan struct{}{}}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGCHLD)
	go func() {
		for range signals {
			s.reap()
		}
	}()
	return s
}

func (s *Supervisor) reap() {
	for {
		s.mu.Lock()
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, syscall.WNOHANG, nil)
		if err == nil && pid > 0 {
			if done, ours := s.children[pid]; ours {
				delete(s.children, pid)
				close(done)
			}
		}
		s.mu.Unlock()
		if err == syscall.EINTR {
			continue
		}
		if err != nil || pid <= 0 {
			return
		}
	}
}

// Run keeps the services running; it returns never.
func (s *Supervisor) Run(services ...Service) {
	for _, service := range services {
		s.mu.Lock()
		s.wake[service.Name] = make(chan struct{}, 1)
		s.mu.Unlock()
		go s.keep(service)
	}
	select {}
}

func (s *Supervisor) keep(service Service) {
	if service.Ready != nil {
		service.Ready()
	}
	for {
		if service.Wanted == nil || service.Wanted() {
			if err := s.once(service); err != nil {
				slog.Error("can't run", "service", service.Name, "error", err)
			}
		}
		select {
		case <-s.wake[service.Name]:
		case <-time.After(again):
		}
	}
}

func (s *Supervisor) once(service Service) error {
	log, err := os.OpenFile(service.Log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	none, err := os.Open(os.DevNull)
	if err != nil {
		return err
	}
	defer func() { _ = none.Close() }()

	done := make(chan struct{})
	s.mu.Lock()
	process, err := os.StartProcess(service.Argv[0], service.Argv, &os.ProcAttr{
		Env: append(os.Environ(), service.Env...), Files: []*os.File{none, log, log},
		Sys: &syscall.SysProcAttr{Setsid: true},
	})
	if err != nil {
		s.mu.Unlock()
		return err
	}
	s.children[process.Pid] = done
	s.current[service.Name] = process.Pid
	s.mu.Unlock()

	<-done
	_ = process.Release()
	s.mu.Lock()
	delete(s.current, service.Name)
	s.mu.Unlock()
	_, _ = fmt.Fprintf(log, "--- %s ended at %s\n", service.Name, time.Now().Format(time.RFC3339))
	return nil
}

// Kill ends a service at once, as a crash would, and starts it again if it is wanted.
func (s *Supervisor) Kill(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if pid := s.current[name]; pid != 0 {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
}

// Wake starts a service that has become wanted without waiting for the next round.
func (s *Supervisor) Wake(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case s.wake[name] <- struct{}{}:
	default:
	}
}

// Command runs a program to its end and says what it printed when it failed. In the
// first process of a namespace os/exec can't be used: the reaper takes its children.
func (s *Supervisor) Command(input string, argv ...string) error {
	stdin, in, err := os.Pipe()
	if err != nil {
		return err
	}
	out, err := os.CreateTemp("", "command")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(out.Name()); _ = out.Close() }()
	go func() { _, _ = in.WriteString(input); _ = in.Close() }()

	s.mu.Lock()
	process, err := os.StartProcess(argv[0], argv, &os.ProcAttr{Env: os.Environ(), Files: []*os.File{stdin, out, out}})
	if err != nil {
		s.mu.Unlock()
		return err
	}
	var status syscall.WaitStatus
	for {
		// Holding the lock keeps the reaper away from this child.
		if _, err = syscall.Wait4(process.Pid, &status, 0, nil); !errors.Is(err, syscall.EINTR) {
			break
		}
	}
	s.mu.Unlock()
	_ = stdin.Close()
	_ = process.Release()
	if err != nil {
		return fmt.Errorf("waiting for %v: %w", argv, err)
	}
	if status.ExitStatus() != 0 {
		printed, _ := os.ReadFile(out.Name())
		return fmt.Errorf("%v: status %d: %s", argv, status.ExitStatus(), printed)
	}
	return nil
}
