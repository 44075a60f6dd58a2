package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// command is a program that runs in a folder and is asked to end, not killed,
// with the context.
func command(ctx context.Context, dir, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	cmd.Env = os.Environ()
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	return cmd
}

// output runs a program and gives what it prints; what it says about an error
// goes into the error. said, if any, gets its lines while it runs.
func output(cmd *exec.Cmd, said func(line string)) (string, error) {
	printed := &lines{said: said}
	var problem bytes.Buffer
	cmd.Stdout, cmd.Stderr = printed, &problem
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s %s: %w\n%s", filepath.Base(cmd.Path), strings.Join(cmd.Args[1:], " "), err, strings.TrimSpace(printed.all.String()+problem.String()))
	}
	return printed.all.String(), nil
}

// lines is a writer that keeps all and tells each line.
type lines struct {
	all  bytes.Buffer
	rest string
	said func(string)
}

func (l *lines) Write(p []byte) (int, error) {
	l.all.Write(p)
	l.rest += string(p)
	for {
		line, rest, found := strings.Cut(l.rest, "\n")
		if !found {
			return len(p), nil
		}
		l.rest = rest
		if l.said != nil {
			l.said(line)
		}
	}
}

func git(ctx context.Context, dir string, args ...string) (string, error) {
	text, err := output(command(ctx, dir, "git", args...), nil)
	return strings.TrimRight(text, "\n"), err
}
