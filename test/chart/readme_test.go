package chart_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

// generated divides a README: what stands above is written by hand, what stands below comes from values.yaml.
const generated = "<!-- Below: generated from values.yaml by `go test -C test ./chart -update`. -->\n"

func TestReadmesSayWhatValuesFilesSay(t *testing.T) {
	for _, name := range []string{"dnas", "platform", "homecloud"} {
		t.Run(name, func(t *testing.T) {
			text, err := os.ReadFile(filepath.Join(root, "charts", name, "values.yaml"))
			require.NoError(t, err)
			path := filepath.Join(root, "charts", name, "README.md")
			readme, err := os.ReadFile(path)
			require.NoError(t, err)
			intro, _, found := strings.Cut(string(readme), generated)
			require.True(t, found, "%s has no line %q", path, generated)
			want := intro + generated + reference(t, text)
			if *update {
				require.NoError(t, os.WriteFile(path, []byte(want), 0o644))
				return
			}
			require.Equal(t, want, string(readme), "run `go test -C test ./chart -update`")
		})
	}
}

// reference lists every key of a values file with its default and its comment.
func reference(t testing.TB, text []byte) string {
	t.Helper()
	var document yaml.Node
	require.NoError(t, yaml.Unmarshal(text, &document))
	var b strings.Builder
	b.WriteString("\n## Values\n")
	describe(t, &b, "", document.Content[0])
	return b.String()
}

func describe(t testing.TB, b *strings.Builder, parent string, mapping *yaml.Node) {
	t.Helper()
	for i := 0; i < len(mapping.Content); i += 2 {
		key, value := mapping.Content[i], mapping.Content[i+1]
		path := parent + key.Value
		comment := uncommented(key.HeadComment)
		opened := value.Kind == yaml.MappingNode && value.Style&yaml.FlowStyle == 0
		if parent == "" {
			// The text at the top of the file belongs to the file, not to its first key.
			paragraphs := strings.Split(comment, "\n\n")
			comment = paragraphs[len(paragraphs)-1]
			require.NotEmpty(t, comment, "%s has no comment", path)
			fmt.Fprintf(b, "\n### `%s`\n", path)
		} else if comment != "" || !opened {
			fmt.Fprintf(b, "\n`%s`", path)
		}
		if !opened {
			fmt.Fprintf(b, "%s", defaultOf(t, parent == "", value))
		}
		if comment != "" {
			separator := ": "
			if parent == "" {
				separator = "\n"
			}
			b.WriteString(separator + strings.ReplaceAll(comment, "\n", " ") + "\n")
		} else if !opened {
			b.WriteString("\n")
		}
		if example := uncommented(key.FootComment); example != "" {
			fmt.Fprintf(b, "\n```yaml\n%s:\n%s\n```\n", key.Value, example)
		}
		if opened {
			describe(t, b, path+".", value)
		}
	}
}

func defaultOf(t testing.TB, top bool, value *yaml.Node) string {
	t.Helper()
	plain := *value
	plain.HeadComment, plain.LineComment, plain.FootComment = "", "", ""
	text, err := yaml.Marshal(&plain)
	require.NoError(t, err)
	if top {
		return fmt.Sprintf("\nDefault: `%s`\n", strings.TrimSpace(string(text)))
	}
	return fmt.Sprintf(" (`%s`)", strings.TrimSpace(string(text)))
}

// uncommented takes the comment signs away.
func uncommented(comment string) string {
	lines := strings.Split(comment, "\n")
	for i, line := range lines {
		line = strings.TrimPrefix(line, "#")
		if !strings.HasPrefix(line, "  ") { // an example keeps its indentation
			line = strings.TrimPrefix(line, " ")
		}
		lines[i] = line
	}
	return strings.Join(lines, "\n")
}
