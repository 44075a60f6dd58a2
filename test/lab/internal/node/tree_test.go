package node

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestMemoryOfTheNodeReplacesThatOfTheMachine(t *testing.T) {
	machine := "MemTotal:       24606496 kB\nMemFree:        13000000 kB\nMemAvailable:   23000000 kB\nBuffers:          123 kB\nSwapTotal:       1048572 kB\nSwapFree:        1048572 kB\n"
	require.Equal(t,
		"MemTotal: 2097152 kB\nMemFree: 2097152 kB\nMemAvailable: 2097152 kB\nBuffers:          123 kB\nSwapTotal: 0 kB\nSwapFree: 0 kB\n",
		meminfo(machine, 2<<30))
}
