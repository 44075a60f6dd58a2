package cloud

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A lab that is killed leaves what it was making half made.
func TestInterruptedLabEndsByItself(t *testing.T) {
	t.Parallel()
	for name, do := range map[string]func(context.Context, *Lab) error{
		"up":   func(ctx context.Context, l *Lab) error { return l.Up(ctx) },
		"load": func(ctx context.Context, l *Lab) error { return l.Load(ctx, "archive.tar") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			binary := filepath.Join(dir, "lab")
			require.NoError(t, os.WriteFile(binary, []byte(`#!/bin/sh
trap 'echo x >>`+dir+`/interrupted; exit 130' INT
touch `+dir+`/began
while :; do sleep 0.05; done
`), 0o755))
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan error)
			go func() { ended <- do(ctx, &Lab{Binary: binary, Name: "test", Dir: dir, Count: 1}) }()
			began := func() bool { _, err := os.Stat(filepath.Join(dir, "began")); return err == nil }
			require.Eventually(t, began, 10*time.Second, 10*time.Millisecond)
			cancel()
			require.Error(t, <-ended)
			content, err := os.ReadFile(filepath.Join(dir, "interrupted"))
			require.NoError(t, err, "it was killed")
			require.Equal(t, "x\n", string(content), "once: the second interrupt ends a program at once")
		})
	}
}
