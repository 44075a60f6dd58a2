// Lab runs a real Kubernetes on one Linux machine, offline: nodes that can be cut from
// power, disks that can be pulled, a LAN whose cables can be unplugged.
package main

import (
	"embed"
	"os"

	"github.com/tmorin/homecloud/test/lab/internal/command"
)

// sources are what `lab build` compiles: inside the program, so that it works wherever it lies.
//
//go:embed go.mod go.sum kubernetes/*.go pause/*.go
var sources embed.FS

func main() { os.Exit(command.Main(sources, os.Args[1:])) }
