package namespace

import (
	"errors"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
)

// An ExitError carries the exit code of a command that was run for the caller.
type ExitError struct{ Code int }

func (e ExitError) Error() string { return "the command failed" }

// Inside runs a command in all namespaces of the process, with this program's streams.
// The command is a child, as a PID namespace only takes children in.
func (p Process) Inside(env []string, argv ...string) error {
	paths := []string{p.Path(Cgroup), p.Path(IPC), p.Path(UTS), p.Path(Network), p.Path(PID), p.Path(Mount)}
	done := make(chan error, 1)
	go func() { // on a thread of its own, that ends with it
		if err := Enter(paths...); err != nil {
			done <- err
			return
		}
		done <- run(env, argv)
	}()
	return <-done
}

func run(env []string, argv []string) error {
	name := argv[0]
	if name[0] != '/' {
		// LookPath reads this process's PATH, but the files of the thread it runs on.
		if err := os.Setenv("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"); err != nil {
			return err
		}
	}
	cmd := exec.Command(name, argv[1:]...)
	cmd.Env, cmd.Dir = env, "/"
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	// An interrupt reaches the child through the terminal; this process waits for its end.
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer signal.Stop(signals)
	if err := cmd.Start(); err != nil {
		return err
	}
	go func() {
		for s := range signals {
			if s != syscall.SIGINT {
				_ = cmd.Process.Signal(s)
			}
		}
	}()
	err := cmd.Wait()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() {
			return ExitError{128 + int(status.Signal())}
		}
		return ExitError{exit.ExitCode()}
	}
	return err
}

// Become replaces this program by a command in one network namespace, keeping working
// directory and environment.
func Become(network string, argv []string) error {
	path, err := exec.LookPath(argv[0])
	if err != nil {
		return err
	}
	if err := Enter(network); err != nil {
		return err
	}
	return syscall.Exec(path, argv, os.Environ())
}
