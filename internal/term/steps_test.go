package term

import (
	"bytes"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestPlainStepsAreOneLineEach(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		steps := NewSteps(&out)
		require.NoError(t, steps.Run("namespaces", func(s *Step) error {
			s.Waits("too early to say")
			s.Done("unchanged")
			return nil
		}))
		broken := errors.New("broken")
		require.ErrorIs(t, steps.Run("nodes", func(s *Step) error {
			time.Sleep(5 * time.Second)
			s.Waits("node-1 isn't ready")
			s.Waits("changed too soon")
			time.Sleep(10 * time.Second)
			s.Waits("node-1 isn't ready")
			s.Waits("node-2 isn't ready")
			s.Done("never shown")
			return broken
		}), broken)
		require.Equal(t, "✓ namespaces: unchanged  0.0s\n  · node-1 isn't ready\n  · node-2 isn't ready\n✗ nodes  15.0s\n", out.String())
	})
}

func TestMovingLineIsReplacedByTheResult(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		steps := &Steps{out: &out, moves: true}
		require.NoError(t, steps.Run("wait", func(s *Step) error {
			s.Waits("a pod")
			time.Sleep(200 * time.Millisecond)
			return nil
		}))
		require.Contains(t, out.String(), "⠙ wait  0.1s · a pod")
		require.Regexp(t, "\r\x1b\\[K✓ wait  0.2s\n$", out.String())
	})
}

func TestLongLinesAreCut(t *testing.T) {
	require.Equal(t, "abc…", cut("abcdef", 5))
	require.Equal(t, "ab c", cut("ab\nc", 5))
}
