// Command hcchart turns homecloud.yaml into a running cloud: it validates the
// file, keeps its secrets, computes Helm values, and installs the charts.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	os.Exit(run())
}

// run exists so that deferred calls finish before the process ends.
func run() int {
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		received := <-signals
		signal.Reset() // a second one ends the process at once
		if received == syscall.SIGTERM {
			cancel(errTerminated)
		} else {
			cancel(context.Canceled)
		}
	}()

	a := &app{in: os.Stdin, out: os.Stdout, err: os.Stderr}
	err := newRootCommand(a).ExecuteContext(ctx)
	if err != nil && !a.started {
		err = usageError{err}
	}
	return exitCode(ctx, err, os.Stderr)
}
