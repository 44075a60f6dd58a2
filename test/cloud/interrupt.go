package cloud

import (
	"os/exec"
	"syscall"
	"time"
)

// interruptible has the end of a command's context interrupt it and what it
// started, as Ctrl-C does, instead of killing it in the middle of its work. It
// gets a process group of its own for that: a terminal interrupts the whole group
// of what runs on it, and a second interrupt ends most programs at once.
func interruptible(command *exec.Cmd) *exec.Cmd {
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	command.Cancel = func() error { return syscall.Kill(-command.Process.Pid, syscall.SIGINT) }
	command.WaitDelay = 30 * time.Second
	return command
}
