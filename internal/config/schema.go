package config

import (
	_ "embed"
	"slices"
)

//go:generate go run generate.go

//go:embed schema.json
var schema []byte

// Schema is the JSON Schema (draft 2020-12) of the cluster file. It knows the
// shape of every field; rules between fields are only known to Parse.
func Schema() []byte { return slices.Clone(schema) }
