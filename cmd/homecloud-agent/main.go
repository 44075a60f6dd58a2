// Command homecloud-agent is our own code inside the cluster: one static
// binary with a sub-command per task, run as its own container or copied into
// another one.
package main

import (
	"context"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
)

func main() {
	os.Exit(run())
}

// run exists so that deferred calls finish before the process ends.
func run() int {
	beSmall()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()

	command := newRootCommand(&app{out: os.Stdout, err: os.Stderr})
	return exitCode(ctx, command.ExecuteContext(ctx), os.Stderr)
}

// beSmall trades a little processor time for memory: several agents run on
// every board and each works on a few kilobytes.
func beSmall() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(25)
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(32 << 20)
	}
}
