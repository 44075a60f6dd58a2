package main

import (
	"context"
	"io"
)

// interruptible is a reader that gives up when the context ends: a read of a
// terminal or a pipe can't be cancelled, and an interrupt must not wait for it.
type interruptible struct {
	ctx context.Context
	in  io.Reader
}

func (i interruptible) Read(p []byte) (int, error) {
	type result struct {
		n   int
		err error
	}
	done, buffer := make(chan result, 1), make([]byte, len(p))
	go func() { // ends with the read, or with the process
		n, err := i.in.Read(buffer)
		done <- result{n, err}
	}()
	select {
	case <-i.ctx.Done():
		return 0, i.ctx.Err()
	case got := <-done:
		return copy(p, buffer[:got.n]), got.err
	}
}
