//go:build ignore

// Writes schema.json and the reference; see the directive in schema.go.
package main

import (
	"log"
	"os"

	"github.com/tmorin/homecloud/internal/config"
	"github.com/tmorin/homecloud/internal/config/schemagen"
)

func main() {
	write("schema.json")(schemagen.Generate("v1alpha1", "Cluster"))
	write("../../docs/reference/cluster-file.md")(schemagen.Reference("v1alpha1", "Cluster", config.Unbuilt, config.Inert))
}

func write(path string) func([]byte, error) {
	return func(text []byte, err error) {
		if err == nil {
			err = os.WriteFile(path, text, 0o644)
		}
		if err != nil {
			log.Fatal(err)
		}
	}
}
