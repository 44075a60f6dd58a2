package main

import (
	"context"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// Somebody forgot what should come through the pipe and presses Ctrl-C.
func TestAnInterruptEndsEveryReadOfStandardInput(t *testing.T) {
	file := newHome(t)
	for _, command := range []string{
		"validate --file -",
		"values --file -",
		"render --file -",
		"render --values - --file " + file,
		"up --file -",
		"up --values - --file " + file,
		"down --file -",
		"secrets init --file -",
		"secrets list --file -",
		"secrets get users.alice --file -",
		"secrets set users.alice --generate --file -",
		"secrets set users.alice --file " + file,
		"secrets render --file -",
		"secrets apply --file -",
	} {
		t.Run(command, func(t *testing.T) {
			ctx, interrupt := context.WithCancel(t.Context())
			never := readerFunc(func([]byte) (int, error) {
				interrupt()
				<-t.Context().Done()
				return 0, io.EOF
			})
			ended := make(chan error, 1)
			go func() {
				root := newRootCommand(&app{in: never, out: io.Discard, err: io.Discard})
				root.SetArgs(strings.Fields(command))
				ended <- root.ExecuteContext(ctx)
			}()
			select {
			case err := <-ended:
				require.ErrorIs(t, err, context.Canceled)
			case <-time.After(10 * time.Second):
				require.Fail(t, "it still reads")
			}
		})
	}
}
