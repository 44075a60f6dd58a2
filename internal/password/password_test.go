package password_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tmorin/homecloud/internal/password"
)

func TestPasswordIsReadableAndNeverTheSame(t *testing.T) {
	seen := map[string]bool{}
	for range 1000 {
		made, err := password.New()
		require.NoError(t, err)
		require.Regexp(t, `^[a-hjkmnp-z2-9]{6}(-[a-hjkmnp-z2-9]{6}){2}$`, made)
		require.False(t, seen[made])
		seen[made] = true
	}
}
