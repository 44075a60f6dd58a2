// Command extract makes the schemas that package kubeschema carries, from
// releases of Kubernetes: the structure of every kind that can be created,
// without the prose. Fields, types and what is required come from the OpenAPI
// documents of a release; the values that a field may have only stand in the Go
// source that these documents are generated from.
//
// `make kube-schemas` runs it: it downloads the releases, so it is no part of
// what is regenerated offline.
package main

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/tmorin/homecloud/internal/kubeschema"
)

// releases are the versions that can be checked against, oldest first.
var releases = []string{"v1.34.2", "v1.35.0", "v1.36.3", "v1.37.0"}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: extract FILE")
		os.Exit(64)
	}
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(file string) error {
	extract := kubeschema.Extract{Kinds: map[string][]kubeschema.Kind{}, Definitions: map[string][]kubeschema.Definition{}}
	for i, release := range releases {
		source, err := download(release)
		if err != nil {
			return err
		}
		extract.Versions = append(extract.Versions, strings.Join(strings.Split(strings.TrimPrefix(release, "v"), ".")[:2], "."))
		if err := add(&extract, source, 1<<i); err != nil {
			return fmt.Errorf("%s: %w", release, err)
		}
	}
	text, err := json.Marshal(extract)
	if err != nil {
		return err
	}
	var compressed bytes.Buffer
	writer, err := gzip.NewWriterLevel(&compressed, gzip.BestCompression)
	if err != nil {
		return err
	}
	if _, err := writer.Write(text); err != nil {
		return err
	}
	if err := writer.Close(); err != nil {
		return err
	}
	return os.WriteFile(file, compressed.Bytes(), 0o644) //nolint:gosec // part of the source
}

// download returns the folder of a release's module.
func download(release string) (string, error) {
	output, err := exec.Command("go", "mod", "download", "-json", "k8s.io/kubernetes@"+release).Output()
	var module struct{ Dir, Error string }
	if jsonErr := json.Unmarshal(output, &module); jsonErr != nil || module.Error != "" {
		return "", fmt.Errorf("download k8s.io/kubernetes@%s: %s %w", release, module.Error, err)
	}
	return module.Dir, err
}

// add puts a release's kinds into the extract; bit stands for its version.
func add(extract *kubeschema.Extract, source string, bit uint) error {
	enums, err := readEnums(filepath.Join(source, "pkg", "generated", "openapi", "zz_generated.openapi.go"))
	if err != nil {
		return err
	}
	files, err := filepath.Glob(filepath.Join(source, "api", "openapi-spec", "v3", "api*__v*_openapi.json"))
	if err != nil {
		return err
	}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		err = extract.AddDocument(content, bit, func(schema string) map[string][]any { return enums[functionOf(schema)] })
		if err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
	}
	return nil
}

// functionOf is the name of the Go function that makes a schema.
func functionOf(schema string) string {
	parts := strings.Split(schema, ".")
	if i := slices.Index(parts, "api"); i >= 0 && !slices.Contains(parts, "pkg") {
		return "schema_k8sio_" + strings.Join(parts[i:], "_")
	}
	if i := slices.Index(parts, "apis"); i >= 0 {
		return "schema_pkg_" + strings.Join(parts[i:], "_")
	}
	return ""
}

// readEnums reads the values that the fields of each schema may have, by the
// function that makes the schema and the name of the field.
func readEnums(file string) (map[string]map[string][]any, error) {
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	found := map[string]map[string][]any{}
	for _, declaration := range parsed.Decls {
		function, is := declaration.(*ast.FuncDecl)
		if !is || !strings.HasPrefix(function.Name.Name, "schema_") {
			continue
		}
		field := ""
		ast.Inspect(function, func(node ast.Node) bool {
			pair, is := node.(*ast.KeyValueExpr)
			if !is {
				return true
			}
			switch key := pair.Key.(type) {
			case *ast.BasicLit: // the name of a property
				if name, err := strconv.Unquote(key.Value); err == nil && key.Kind == token.STRING {
					field = name
				}
			case *ast.Ident:
				if key.Name == "Items" || key.Name == "AdditionalProperties" {
					return false // values of a list's entries: nothing built in has any
				}
				if key.Name == "Enum" {
					if found[function.Name.Name] == nil {
						found[function.Name.Name] = map[string][]any{}
					}
					found[function.Name.Name][field] = literals(pair.Value)
				}
			}
			return true
		})
	}
	return found, nil
}

func literals(list ast.Expr) (values []any) {
	for _, element := range list.(*ast.CompositeLit).Elts {
		if value, err := strconv.Unquote(element.(*ast.BasicLit).Value); err == nil {
			values = append(values, value)
		}
	}
	return values
}
