package checksums_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tmorin/homecloud/internal/checksums"
)

func TestListIsWhatSha256sumReads(t *testing.T) {
	folder := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(folder, "b"), []byte("b"), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(folder, "a"), nil, 0o600))
	list, err := checksums.Of(folder, []string{"b", "a"})
	require.NoError(t, err)
	require.Equal(t, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855  a\n"+
		"3e23e8160039594a33894f6564e1b1348bbd7a0088d42c4acb73eeaed59c009d  b\n", string(list))

	tool, err := exec.LookPath("sha256sum")
	if err != nil {
		t.Skip("needs sha256sum: install coreutils")
	}
	require.NoError(t, os.WriteFile(filepath.Join(folder, checksums.Name), list, 0o600))
	cmd := exec.CommandContext(t.Context(), tool, "--check", "--strict", checksums.Name)
	cmd.Dir = folder
	output, err := cmd.CombinedOutput()
	require.NoError(t, err, string(output))
}
