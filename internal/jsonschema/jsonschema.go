// Package jsonschema validates against JSON Schemas that stand alone, and says
// what is wrong in words for a person, with the path of each field.
package jsonschema

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	santhosh "github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
	"golang.org/x/text/language"
	"golang.org/x/text/message"
)

// Set is a document of schemas, compiled when they are asked for.
type Set struct{ compiler *santhosh.Compiler }

const url = "file:///schema.json"

// New reads a document that holds a schema, or several below #/definitions.
func New(document any) (*Set, error) {
	compiler := santhosh.NewCompiler()
	// Nothing is fetched, from disk or from a network.
	compiler.UseLoader(santhosh.SchemeURLLoader{})
	if err := compiler.AddResource(url, document); err != nil {
		return nil, err
	}
	return &Set{compiler}, nil
}

// Parse reads the text of a document.
func Parse(text []byte) (*Set, error) {
	document, err := santhosh.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	return New(document)
}

// Schema is a compiled schema.
type Schema struct{ compiled *santhosh.Schema }

// Compile compiles the schema at a pointer, such as /definitions/Pod; empty: the
// document itself.
func (s *Set) Compile(pointer string) (*Schema, error) {
	at := url
	if pointer != "" {
		at += "#" + pointer
	}
	compiled, err := s.compiler.Compile(at)
	if err != nil {
		return nil, err
	}
	return &Schema{compiled}, nil
}

// Problem is one thing that is wrong with a value.
type Problem struct {
	Path string // such as spec.containers[0].image; empty: the whole
	Text string
	// Unknown says that there is a field that the schema doesn't know: Path is its
	// own.
	Unknown bool
	// Type says that the value is of another type than the schema wants.
	Type bool
}

// String is "spec.replicas: got string, want integer".
func (p Problem) String() string {
	if p.Path == "" {
		return p.Text
	}
	return p.Path + ": " + p.Text
}

// Validate returns all that is wrong with a value of JSON, sorted.
func (s *Schema) Validate(value any) []Problem {
	err := s.compiled.Validate(value)
	if err == nil {
		return nil
	}
	var invalid *santhosh.ValidationError
	if !errors.As(err, &invalid) {
		return []Problem{{Text: err.Error()}}
	}
	problems := merged(leaves(invalid, value))
	slices.SortFunc(problems, func(a, b Problem) int { return strings.Compare(a.String(), b.String()) })
	return slices.Compact(problems)
}

// leaves are the innermost reasons.
func leaves(e *santhosh.ValidationError, value any) (problems []Problem) {
	if len(e.Causes) > 0 {
		for _, cause := range e.Causes {
			problems = append(problems, leaves(cause, value)...)
		}
		return problems
	}
	at := pathOf(e.InstanceLocation, value)
	if extra, is := e.ErrorKind.(*kind.AdditionalProperties); is {
		for _, name := range extra.Properties {
			problems = append(problems, Problem{Path: Join(at, name), Text: "unknown field", Unknown: true})
		}
		return problems
	}
	_, isType := e.ErrorKind.(*kind.Type)
	return []Problem{{Path: at, Text: e.ErrorKind.LocalizedString(message.NewPrinter(language.English)), Type: isType}}
}

// merged makes one problem of a value that is of none of several types.
func merged(problems []Problem) (result []Problem) {
	for _, p := range problems {
		i := slices.IndexFunc(result, func(other Problem) bool { return p.Type && other.Type && other.Path == p.Path })
		got, want, _ := strings.Cut(p.Text, ", want ")
		if i < 0 || !strings.HasPrefix(result[i].Text, got+", ") {
			result = append(result, p)
		} else if !strings.HasSuffix(result[i].Text, want) {
			result[i].Text += " or " + want
		}
	}
	return result
}

// Join appends a field to a path.
func Join(path, field string) string {
	if path == "" {
		return field
	}
	return path + "." + field
}

// pathOf writes the place in a value, entries of lists in brackets.
func pathOf(tokens []string, value any) string {
	path := ""
	for _, token := range tokens {
		switch v := value.(type) {
		case []any:
			path += fmt.Sprintf("[%s]", token)
			if i, err := strconv.Atoi(token); err == nil && i < len(v) {
				value = v[i]
			}
		case map[string]any:
			path, value = Join(path, token), v[token]
		default:
			path = Join(path, token)
		}
	}
	return path
}
