package config_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"

	"github.com/tmorin/homecloud/internal/config"
	"github.com/tmorin/homecloud/internal/config/schemagen"
)

var update = flag.Bool("update", false, "rewrite the expected files")

// golden compares with a file, or writes it with -update.
func golden(t *testing.T, path string, got []byte) {
	t.Helper()
	if *update {
		require.NoError(t, os.WriteFile(path, got, 0o644))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err, "run go test -update to write what is expected, then read it")
	require.Equal(t, string(want), string(got))
}

// files are the cluster files of a folder; a lock lies beside some of them.
func files(t *testing.T, pattern string) []string {
	t.Helper()
	paths, err := filepath.Glob(pattern)
	require.NoError(t, err)
	var clusters []string
	for _, path := range paths {
		if !strings.HasSuffix(path, ".lock.yaml") {
			clusters = append(clusters, path)
		}
	}
	require.NotEmpty(t, clusters)
	return clusters
}

// parse is Load with the file's base name, so that expected messages don't
// depend on where the repository lies.
func parse(t testing.TB, path string) (*config.Cluster, error) {
	t.Helper()
	cluster, err := os.ReadFile(path)
	require.NoError(t, err)
	lock, err := os.ReadFile(config.LockPath(path))
	if !errors.Is(err, os.ErrNotExist) {
		require.NoError(t, err)
	}
	return config.Parse(filepath.Base(path), cluster, lock)
}

func TestBrokenFilesSayExactlyWhatIsWrong(t *testing.T) {
	for _, path := range files(t, "testdata/broken/*.yaml") {
		name := strings.TrimSuffix(path, ".yaml")
		t.Run(filepath.Base(name), func(t *testing.T) {
			_, err := parse(t, path)
			var invalid *config.InvalidError
			require.ErrorAs(t, err, &invalid)
			for _, finding := range invalid.Findings {
				require.NotEmpty(t, finding.Problem)
				require.NotEmpty(t, finding.Remedy, "%s says no remedy", finding)
				require.NotContains(t, finding.String(), "\n")
			}
			golden(t, name+".txt", []byte(invalid.Error()+"\n"))
		})
	}
}

func TestValidFilesBecomeTheInternalType(t *testing.T) {
	for _, path := range append(files(t, "testdata/valid/*.yaml"), files(t, "../../examples/*.yaml")...) {
		name := strings.TrimSuffix(filepath.Base(path), ".yaml")
		t.Run(name, func(t *testing.T) {
			cluster, err := parse(t, path)
			require.NoError(t, err)
			dump, err := json.MarshalIndent(cluster, "", "  ")
			require.NoError(t, err)
			golden(t, filepath.Join("testdata/golden", name+".json"), append(dump, '\n'))
		})
	}
}

// The whole contract of the file must be understood; what no chart builds yet
// is refused, and nothing else is.
func TestContractIsUnderstoodWholeAndRefusedWhereNothingBuildsItYet(t *testing.T) {
	_, err := parse(t, "testdata/contract/homecloud.yaml")
	var invalid *config.InvalidError
	require.ErrorAs(t, err, &invalid)
	for _, finding := range invalid.Findings {
		require.Equal(t, "is not built yet", finding.Problem, finding)
	}
	golden(t, "testdata/contract/expected.txt", []byte(invalid.Error()+"\n"))
}

func TestMinimalFileOfTheContractIsTheOneBoardExample(t *testing.T) {
	contract, err := os.ReadFile("testdata/contract/homecloud.yaml")
	require.NoError(t, err)
	_, tail, found := bytes.Cut(contract, []byte("# Everything a beginner with one board must write:\n#\n"))
	require.True(t, found)
	var minimal strings.Builder
	for line := range strings.Lines(string(tail)) {
		code, indented := strings.CutPrefix(line, "#   ")
		if !indented {
			break
		}
		minimal.WriteString(code)
	}
	example, err := os.ReadFile("../../examples/one-board.yaml")
	require.NoError(t, err)
	require.True(t, strings.HasSuffix(string(example), minimal.String()), "examples/one-board.yaml differs from the contract:\n%s", &minimal)
}

func TestSchemaIsGeneratedFromTheTypes(t *testing.T) {
	schema, err := schemagen.Generate("v1alpha1", "Cluster")
	require.NoError(t, err)
	require.Equal(t, string(schema), string(config.Schema()), "run go generate ./internal/config")
}

func TestReferenceIsGeneratedFromTheTypes(t *testing.T) {
	reference, err := schemagen.Reference("v1alpha1", "Cluster", config.Unbuilt, config.Inert)
	require.NoError(t, err)
	committed, err := os.ReadFile("../../docs/reference/cluster-file.md")
	require.NoError(t, err)
	require.Equal(t, string(reference), string(committed), "run go generate ./internal/config")
}

// What the schema and the reference propose must be what the file takes.
func TestExamplesAndDefaultsFitTheirFields(t *testing.T) {
	type field struct {
		Properties map[string]*field
		Defs       map[string]*field `json:"$defs"`
		Items      *field
		Pattern    string
		Default    any
		Examples   []any
	}
	var check func(path string, f *field)
	check = func(path string, f *field) {
		if f == nil {
			return
		}
		for _, value := range append(f.Examples, f.Default) {
			if text, ok := value.(string); ok {
				require.Regexp(t, f.Pattern, text, path)
			}
		}
		check(path+"[]", f.Items)
		for _, below := range []map[string]*field{f.Properties, f.Defs} {
			for name, property := range below {
				check(path+"."+name, property)
			}
		}
	}
	var schema field
	require.NoError(t, json.Unmarshal(config.Schema(), &schema))
	check("", &schema)
}

func compileSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(config.Schema()))
	require.NoError(t, err)
	compiler := jsonschema.NewCompiler()
	require.NoError(t, compiler.AddResource("homecloud.json", document))
	schema, err := compiler.Compile("homecloud.json")
	require.NoError(t, err)
	return schema
}

func againstSchema(t *testing.T, schema *jsonschema.Schema, path string) error {
	t.Helper()
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	asJSON, err := yaml.YAMLToJSONStrict(text)
	if err != nil {
		return err
	}
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(asJSON))
	require.NoError(t, err)
	return schema.Validate(document)
}

func TestSchemaAcceptsEveryValidFile(t *testing.T) {
	schema := compileSchema(t)
	paths := append(files(t, "testdata/valid/*.yaml"), files(t, "../../examples/*.yaml")...)
	for _, path := range append(paths, "testdata/contract/homecloud.yaml") {
		require.NoError(t, againstSchema(t, schema, path), path)
	}
}

// Files whose name begins with shape- are wrong in a way that an editor with
// the schema must notice too.
func TestSchemaRefusesFilesOfAWrongShape(t *testing.T) {
	schema := compileSchema(t)
	for _, path := range files(t, "testdata/broken/shape-*.yaml") {
		require.Error(t, againstSchema(t, schema, path), path)
	}
}

func BenchmarkParseEightBoards(b *testing.B) {
	text := bigFile(8, 12, 20)
	for b.Loop() {
		if _, err := config.Parse("homecloud.yaml", text, nil); err != nil {
			b.Fatal(err)
		}
	}
}

func bigFile(nodes, users, shares int) []byte {
	var text strings.Builder
	text.WriteString("apiVersion: homecloud/v1alpha1\nkind: Cluster\nname: home\n" +
		"network: {subnet: 192.168.1.0/24, gateway: 192.168.1.1, vip: {address: 192.168.1.50}}\nnodes:\n")
	for i := range nodes {
		fmt.Fprintf(&text, "  - {name: node-%d, address: 192.168.1.%d, interface: eth0, memory: 4Gi, disks: [{name: data, uuid: 5f0e3f0c-0000-4000-8000-%012d}]}\n", i, 60+i, i)
	}
	text.WriteString("users:\n")
	access := make([]string, users)
	for i := range users {
		fmt.Fprintf(&text, "  - {name: user%d, admin: true}\n", i)
		access[i] = fmt.Sprintf("user%d: write", i)
	}
	text.WriteString("dnas:\n  shares:\n")
	for i := range shares {
		fmt.Fprintf(&text, "    - {name: share%d, access: {%s}}\n", i, strings.Join(access, ", "))
	}
	return []byte(text.String())
}
