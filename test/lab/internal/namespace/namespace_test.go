package namespace

import (
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestProcessIsKnownByNumberAndStart(t *testing.T) {
	c := exec.Command("sleep", "60")
	require.NoError(t, c.Start())
	p, err := Find(c.Process.Pid)
	require.NoError(t, err)
	require.True(t, p.Alive())
	require.False(t, Process{PID: p.PID, Start: p.Start + 1}.Alive(), "another process with the same number")
	require.False(t, Process{}.Alive())

	require.NoError(t, Process{PID: p.PID, Start: p.Start + 1}.Kill(time.Second))
	require.True(t, p.Alive(), "another process isn't killed")

	require.NoError(t, p.Kill(10*time.Second))
	require.False(t, p.Alive(), "a zombie isn't alive")
	require.Error(t, c.Wait())
	require.NoError(t, p.Kill(time.Second), "killing the dead is fine")
}

func TestNameOfAProcessMayHoldParentheses(t *testing.T) {
	path := t.TempDir() + "/a) S 1 (b"
	b, err := os.ReadFile("/bin/sleep")
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path, b, 0o755))
	c := exec.Command(path, "60")
	require.NoError(t, c.Start())
	p, err := Find(c.Process.Pid)
	require.NoError(t, err)
	require.NotZero(t, p.Start)
	require.True(t, p.Alive())
	require.NoError(t, p.Kill(10*time.Second))
	_ = c.Wait() // it was killed
}
