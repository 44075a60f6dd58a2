package values

import (
	"cmp"
	"fmt"
	"slices"

	"go.yaml.in/yaml/v3"
)

// minimal leaves out of full what a chart's defaults say already.
func minimal(full any, defaults func() (*yaml.Node, error)) (*Values, error) {
	node := new(yaml.Node)
	if err := node.Encode(full); err != nil {
		return nil, err
	}
	known, err := defaults()
	if err != nil {
		return nil, err
	}
	prune(node, known)
	return &Values{node}, nil
}

// umbrellaDefaults are the values that the umbrella's sub-charts see when
// nobody gives any.
func umbrellaDefaults(defaults Defaults) (*yaml.Node, error) {
	umbrella, err := parse(ChartUmbrella, defaults[ChartUmbrella])
	if err != nil {
		return nil, err
	}
	for _, name := range []string{ChartPlatform, ChartDNAS} {
		own, err := parse(name, defaults[name])
		if err != nil {
			return nil, err
		}
		if over := get(umbrella, name); over != nil {
			overlay(own, over)
		}
		put(umbrella, name, own)
	}
	return umbrella, nil
}

func parse(name string, text []byte) (*yaml.Node, error) {
	document := new(yaml.Node)
	if err := yaml.Unmarshal(text, document); err != nil {
		return nil, fmt.Errorf("values.yaml of chart %s: %w", name, err)
	}
	if len(document.Content) == 0 {
		return &yaml.Node{Kind: yaml.MappingNode}, nil
	}
	return document.Content[0], nil
}

// prune removes from a map every key whose value the defaults hold too. What
// it removes can't come back: Helm merges maps key by key, and lists are
// compared as a whole. What is left stands in the order of the defaults.
func prune(values, defaults *yaml.Node) {
	type entry struct {
		key, value *yaml.Node
		at         int
	}
	var kept []entry
	for i := 0; i+1 < len(values.Content); i += 2 {
		key, value := values.Content[i], values.Content[i+1]
		known := get(defaults, key.Value)
		if known != nil && value.Kind == yaml.MappingNode && known.Kind == yaml.MappingNode {
			prune(value, known)
			if len(value.Content) == 0 {
				continue
			}
		}
		if known != nil && same(value, known) {
			continue
		}
		kept = append(kept, entry{key, value, position(defaults, key.Value)})
	}
	slices.SortStableFunc(kept, func(a, b entry) int { return cmp.Compare(a.at, b.at) })
	values.Content = nil
	for _, e := range kept {
		values.Content = append(values.Content, e.key, e.value)
	}
}

// position is where a key stands in a map; unknown keys come last.
func position(mapping *yaml.Node, key string) int {
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		if mapping.Content[i].Value == key {
			return i
		}
	}
	return len(mapping.Content)
}

// same compares what nodes say, not how they are written.
func same(a, b *yaml.Node) bool {
	if a.Kind != b.Kind || len(a.Content) != len(b.Content) {
		return false
	}
	switch a.Kind {
	case yaml.ScalarNode:
		return a.Value == b.Value && a.ShortTag() == b.ShortTag()
	case yaml.MappingNode:
		for i := 0; i+1 < len(a.Content); i += 2 {
			other := get(b, a.Content[i].Value)
			if other == nil || !same(a.Content[i+1], other) {
				return false
			}
		}
	default:
		for i := range a.Content {
			if !same(a.Content[i], b.Content[i]) {
				return false
			}
		}
	}
	return true
}

func get(mapping *yaml.Node, key string) *yaml.Node {
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		if mapping.Content[i].Value == key {
			return mapping.Content[i+1]
		}
	}
	return nil
}

func put(mapping *yaml.Node, key string, value *yaml.Node) {
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		if mapping.Content[i].Value == key {
			mapping.Content[i+1] = value
			return
		}
	}
	mapping.Content = append(mapping.Content, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: key}, value)
}

func remove(mapping *yaml.Node, key string) {
	if at := position(mapping, key); at < len(mapping.Content) {
		mapping.Content = slices.Delete(mapping.Content, at, at+2)
	}
}

// overlay merges over into base, as Helm merges a parent's values into a
// sub-chart's.
func overlay(base, over *yaml.Node) {
	for i := 0; i+1 < len(over.Content); i += 2 {
		key, value := over.Content[i].Value, over.Content[i+1]
		below := get(base, key)
		if below != nil && below.Kind == yaml.MappingNode && value.Kind == yaml.MappingNode {
			overlay(below, value)
			continue
		}
		put(base, key, value)
	}
}
