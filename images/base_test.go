package main

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestBaseUsesThisMachinesMirrorsOfItsRelease(t *testing.T) {
	for _, name := range []string{"mirrors", "other-release"} {
		targets, err := os.ReadFile("testdata/apt/" + name + ".targets")
		require.NoError(t, err)
		golden(t, "testdata/apt/"+name+".golden", lines(sources("bookworm", string(targets))))
	}
}

func TestBaseUsesThisMachinesWayToItsMirrors(t *testing.T) {
	dump, err := os.ReadFile("testdata/apt/proxy.dump")
	require.NoError(t, err)
	golden(t, "testdata/apt/proxy.golden", lines(aptOptions(string(dump))))
}

func lines(all []string) string {
	var text strings.Builder
	for _, line := range all {
		text.WriteString(line + "\n")
	}
	return text.String()
}
