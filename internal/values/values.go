// Package values computes what each chart gets from the cluster file. It is
// pure: the same cluster gives the same bytes, nothing is read, asked or
// invented, and no secret passes through. It knows charts only by the shape of
// their values.
package values

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/tmorin/homecloud/internal/config"
)

// Names of the charts whose values come from the cluster file.
const (
	ChartUmbrella = "homecloud"
	ChartDNAS     = "dnas"
	ChartPlatform = "platform"
)

// Charts are the names of all of them, the umbrella first.
func Charts() []string { return []string{ChartUmbrella, ChartDNAS, ChartPlatform} }

// Defaults are the texts of the charts' values.yaml, by chart.
type Defaults map[string][]byte

// Values are what a chart gets: only what differs from its defaults, never
// null, in the order of the chart's own values.yaml.
type Values struct{ node *yaml.Node }

// Umbrella computes the values of charts/homecloud.
func Umbrella(c *config.Cluster, defaults Defaults) (*Values, error) {
	return minimal(struct {
		Platform platform `yaml:"platform"`
		DNAS     dnas     `yaml:"dnas"`
	}{platformOf(c), dnasOf(c)}, func() (*yaml.Node, error) { return umbrellaDefaults(defaults) })
}

// Chart computes the values of one chart, installed alone.
func Chart(c *config.Cluster, name string, defaults Defaults) (*Values, error) {
	own := func() (*yaml.Node, error) { return parse(name, defaults[name]) }
	switch name {
	case ChartUmbrella:
		return Umbrella(c, defaults)
	case ChartDNAS:
		return alone(minimal(dnasOf(c), own))
	case ChartPlatform:
		return alone(minimal(platformOf(c), own))
	default:
		return nil, fmt.Errorf("the cluster file has no values for a chart %q; there are %s, %s and %s", name, ChartUmbrella, ChartDNAS, ChartPlatform)
	}
}

// alone leaves out the condition that only a parent chart reads.
func alone(v *Values, err error) (*Values, error) {
	if err == nil {
		remove(v.node, "enabled")
	}
	return v, err
}

// YAML is the text of a values file.
func (v *Values) YAML() []byte { return encode(v.node) }

// JSON is the same as indented JSON.
func (v *Values) JSON() ([]byte, error) {
	text, err := json.MarshalIndent(v.Map(), "", "  ")
	return append(text, '\n'), err
}

// Map is the same for a renderer.
func (v *Values) Map() map[string]any {
	m := map[string]any{}
	if err := v.node.Decode(&m); err != nil {
		panic(fmt.Sprintf("values that were encoded don't decode: %v", err)) // no input leads here
	}
	return m
}

// Merge puts over on top of base and leaves both alone: maps merge, anything
// else replaces.
func Merge(base, over map[string]any) map[string]any {
	merged := make(map[string]any, len(base)+len(over))
	for key, value := range base {
		merged[key] = value
	}
	for key, value := range over {
		below, isMap := value.(map[string]any)
		already, wasMap := merged[key].(map[string]any)
		if isMap && wasMap {
			value = Merge(already, below)
		}
		merged[key] = value
	}
	return merged
}

// Read reads a values file, and takes keys and dates for texts as Helm does.
func Read(name string, text []byte) (map[string]any, error) {
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	values := map[string]any{}
	var document, second yaml.Node
	switch err := decoder.Decode(&document); {
	case errors.Is(err, io.EOF):
		return values, nil // empty or only comments: nothing goes on top
	case err != nil:
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if err := decoder.Decode(&second); err == nil {
		return nil, fmt.Errorf("%s:%d: a second document begins here; write one per file", name, second.Line)
	} else if !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	root := document.Content[0]
	if root.Kind != yaml.MappingNode && root.ShortTag() != "!!null" {
		return nil, fmt.Errorf("%s:%d: no fields; write them as name: value", name, root.Line)
	}
	err := asHelmReads(root)
	if err == nil {
		err = root.Decode(&values)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return values, nil
}

// asHelmReads prepares a node for JSON, through which Helm reads: it has no
// dates, no keys but texts, and no infinity.
func asHelmReads(node *yaml.Node) error {
	for i, child := range node.Content {
		isKey := node.Kind == yaml.MappingNode && i%2 == 0
		switch tag := child.ShortTag(); {
		case child.Kind != yaml.ScalarNode:
		case tag == "!!timestamp", isKey && tag != "!!merge":
			child.Tag = "!!str"
		case tag == "!!float" && strings.ContainsAny(child.Value, "nN"): // .nan, .inf
			return fmt.Errorf("line %d: %s is no number; write digits, or quote a text", child.Line, child.Value)
		}
		if err := asHelmReads(child); err != nil {
			return err
		}
	}
	return nil
}

// encode is the one way values become text.
func encode(node *yaml.Node) []byte {
	var b bytes.Buffer
	encoder := yaml.NewEncoder(&b)
	encoder.SetIndent(2)
	if err := encoder.Encode(node); err != nil {
		panic(fmt.Sprintf("values can't be encoded: %v", err)) // no input leads here
	}
	return b.Bytes()
}
