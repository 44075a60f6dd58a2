//go:build ignore

// Writes schema.json; see the directive in schema.go.
package main

import (
	"log"
	"os"

	"github.com/tmorin/homecloud/internal/config/schemagen"
)

func main() {
	schema, err := schemagen.Generate("v1alpha1", "Cluster")
	if err != nil {
		log.Fatal(err)
	}
	if err := os.WriteFile("schema.json", schema, 0o644); err != nil {
		log.Fatal(err)
	}
}
