package config_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/tmorin/homecloud/internal/config"
)

func seed(f *testing.F, patterns ...string) {
	f.Helper()
	for _, pattern := range patterns {
		paths, err := filepath.Glob(pattern)
		require.NoError(f, err)
		require.NotEmpty(f, paths, pattern)
		for _, path := range paths {
			content, err := os.ReadFile(path)
			require.NoError(f, err)
			f.Add(content)
		}
	}
}

// judged wants an answer that a person can use, whatever the file holds.
func judged(t *testing.T, cluster *config.Cluster, err error) {
	t.Helper()
	if err == nil {
		require.NotEmpty(t, cluster.Nodes)
		require.NotEmpty(t, cluster.Users)
		require.NotEmpty(t, cluster.DNASNodes())
		require.NotEmpty(t, cluster.DNAS.Shares)
		require.NotEmpty(t, cluster.Network.LAN)
		require.LessOrEqual(t, len(config.SyncthingSecret(config.Release, cluster.Nodes[0].Name)), 63)
		return
	}
	var invalid *config.InvalidError
	require.ErrorAs(t, err, &invalid)
	require.NotEmpty(t, invalid.Findings)
	for _, finding := range invalid.Findings {
		require.Positive(t, finding.Line)
		require.Positive(t, finding.Column)
		require.NotEmpty(t, finding.Problem)
		require.NotEmpty(t, finding.Remedy, finding)
		require.NotContains(t, finding.String(), "\n")
		require.True(t, utf8.ValidString(finding.String()))
	}
}

func FuzzParse(f *testing.F) {
	seed(f, "testdata/valid/*.yaml", "testdata/broken/*.yaml", "testdata/contract/*.yaml", "../../examples/*.yaml")
	f.Add([]byte(strings.Repeat("[", 9000)))
	f.Add([]byte(strings.Repeat("- ", 9000)))
	f.Add([]byte("a: &a [*a, *a]\nb: &b {<<: *b}\n"))
	f.Fuzz(func(t *testing.T, content []byte) {
		cluster, err := config.Parse("homecloud.yaml", content, nil)
		judged(t, cluster, err)
	})
}

func FuzzLock(f *testing.F) {
	seed(f, "testdata/valid/*.lock.yaml", "testdata/broken/*.lock.yaml", "testdata/contract/*.lock.yaml")
	cluster, err := os.ReadFile("testdata/valid/facts-from-lock.yaml")
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, lock []byte) {
		parsed, err := config.Parse("homecloud.yaml", cluster, lock)
		judged(t, parsed, err)
	})
}

func FuzzDeviceID(f *testing.F) {
	f.Add("MFZWI3D-BONSGYC-YLTMRWG-C43ENR5-QXGZDMM-FZWI3DP-BONSGYY-LTMRWAD")
	f.Add("p56ioi7 mzjnu2y iqgdrey dm2mgti mgl3bxn pq6w5bm tbbz4tj xzwicq2")
	f.Add("é0189-")
	f.Fuzz(func(t *testing.T, text string) {
		id, err := config.ParseDeviceID(text)
		if err != nil {
			require.Empty(t, id)
			return
		}
		require.Len(t, string(id), 63)
		again, err := config.ParseDeviceID(string(id))
		require.NoError(t, err)
		require.Equal(t, id, again)
	})
}

func FuzzSentinel(f *testing.F) {
	f.Add(config.Sentinel{Version: 1, Cluster: "home", Disk: "data", UUID: "u", Generation: "g", Node: "n"}.Encode())
	f.Add([]byte(`{"version":2}`))
	f.Add([]byte(`{"version":1,"cluster":"home"} {}`))
	f.Fuzz(func(t *testing.T, content []byte) {
		sentinel, err := config.ParseSentinel(content)
		if err != nil {
			require.Empty(t, sentinel)
			return
		}
		again, err := config.ParseSentinel(sentinel.Encode())
		if errors.Is(err, nil) {
			require.Equal(t, sentinel, again)
		}
		require.True(t, sentinel.Same(again))
	})
}
