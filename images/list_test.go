package main

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write the golden files anew")

// golden compares with a file, or writes it with -update.
func golden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(got), 0o644))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err, "run: go test ./images -update")
	require.Equal(t, string(want), got)
}

func TestWrongListsAreRefusedWithTheirLines(t *testing.T) {
	lists, err := filepath.Glob("testdata/lists/*.yaml")
	require.NoError(t, err)
	require.NotEmpty(t, lists)
	for _, path := range lists {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".yaml"), func(t *testing.T) {
			content, err := os.ReadFile(path)
			require.NoError(t, err)
			_, err = parseList("images/images.yaml", content)
			require.Error(t, err)
			golden(t, strings.TrimSuffix(path, ".yaml")+".golden", err.Error()+"\n")
		})
	}
}

func TestListIsPrintedForPeopleAndPrograms(t *testing.T) {
	list := readList(t, "testdata/generate/images.yaml")
	for _, format := range []string{"table", "json", "yaml"} {
		var out bytes.Buffer
		require.NoError(t, list.print(&out, format))
		golden(t, "testdata/list/"+format+".golden", out.String())
	}
	require.ErrorContains(t, list.print(&bytes.Buffer{}, "xml"), "table, json or yaml")
}

func TestUnknownImageIsAnsweredWithTheKnownOnes(t *testing.T) {
	_, err := readList(t, "testdata/generate/images.yaml").find([]string{"nas", "samba"})
	require.EqualError(t, err, `no image "samba" in images/images.yaml: there are nas, keepalived`)
}

func readList(t *testing.T, path string) *List {
	t.Helper()
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	list, err := parseList(path, content)
	require.NoError(t, err)
	return list
}
