package chart

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	helmchart "helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chartutil"
	"sigs.k8s.io/yaml"

	"github.com/tmorin/homecloud/internal/jsonschema"
)

// stubVersion marks the stand-ins that Check puts where a dependency is
// missing.
const stubVersion = "0.0.0-missing"

// Check says whether the chart can be rendered with these values: every
// dependency that they enable is there, and they meet the schemas. All
// findings come in one error.
func (c *Chart) Check(values map[string]any) error {
	_, _, err := c.checked(values)
	return err
}

// checked returns the chart with what the values leave of it, and the values
// with what the chart adds to them.
func (c *Chart) checked(values map[string]any) (*helmchart.Chart, chartutil.Values, error) {
	h, merged, err := c.merged(values)
	if err == nil {
		err = errors.Join(checkSchemas(h, merged, "")...)
	}
	return h, merged, err
}

// merged is checked without asking the schemas.
func (c *Chart) merged(values map[string]any) (*helmchart.Chart, chartutil.Values, error) {
	copied, err := copyValues(values)
	if err != nil {
		return nil, nil, err
	}
	h, err := c.stubbed.left(c.withStubs(), copied)
	if err != nil {
		return nil, nil, err
	}
	if enabled := enabledStubs(h, h.Name()); len(enabled) > 0 {
		return nil, nil, enabledMissingError(c, enabled)
	}
	merged, err := chartutil.CoalesceValues(h, copied)
	if err != nil {
		return nil, nil, fmt.Errorf("chart %s: %w", c.Name, err)
	}
	return h, merged, nil
}

// withStubs is the chart with an empty chart in the place of each missing
// dependency. Helm's own rules then decide which of them the values enable.
func (c *Chart) withStubs() *Chart {
	if len(c.Missing) == 0 {
		return c
	}
	s := *c
	s.deps = nil
	for _, sub := range c.deps {
		s.deps = append(s.deps, sub.withStubs())
	}
	meta := *c.meta
	meta.Dependencies = nil
	for _, dep := range c.meta.Dependencies {
		if slices.ContainsFunc(c.Missing, func(m Missing) bool { return m.Parent == c.Name && m.Name == dep.Name }) {
			stubbed := *dep
			stubbed.Version = stubVersion
			dep = &stubbed
			s.deps = append(s.deps, &Chart{Name: dep.Name, files: map[string][]byte{
				"Chart.yaml": fmt.Appendf(nil, "apiVersion: v2\nname: %s\nversion: %s\n", dep.Name, stubVersion),
			}})
		}
		meta.Dependencies = append(meta.Dependencies, dep)
	}
	s.files = map[string][]byte{}
	for name, data := range c.files {
		s.files[name] = data
	}
	text, err := yaml.Marshal(&meta)
	if err != nil {
		panic(err) // it was read from YAML
	}
	s.files["Chart.yaml"] = text
	return &s
}

func enabledStubs(h *helmchart.Chart, at string) []string {
	var found []string
	for _, sub := range h.Dependencies() {
		name := at + "/" + sub.Name()
		if sub.Metadata.Version == stubVersion {
			found = append(found, name)
		}
		found = append(found, enabledStubs(sub, name)...)
	}
	return found
}

func enabledMissingError(c *Chart, enabled []string) error {
	var errs []error
	for _, at := range enabled {
		parent, name := at[:strings.LastIndex(at, "/")], at[strings.LastIndex(at, "/")+1:]
		version := ""
		for _, m := range c.Missing {
			if m.Parent == parent && m.Name == name {
				version = " " + m.Version
			}
		}
		chart := parent[strings.LastIndex(parent, "/")+1:]
		errs = append(errs, fmt.Errorf("chart %s: dependency %s%s is enabled but isn't downloaded; run `helm dependency build` in %s's folder, or leave it disabled", chart, name, version, chart))
	}
	return errors.Join(errs...)
}

// checkSchemas validates the values of h and of each chart below it. at is
// the key under which they stand in the values of the top chart.
func checkSchemas(h *helmchart.Chart, values map[string]any, at string) []error {
	var errs []error
	if h.Schema != nil {
		problems, err := checkSchema(h.Schema, values)
		if err != nil {
			return []error{fmt.Errorf("chart %s: values.schema.json: %w", h.Name(), err)}
		}
		for _, problem := range problems {
			if at != "" {
				problem.Path = strings.TrimSuffix(jsonschema.Join(at, problem.Path), ".")
			}
			errs = append(errs, fmt.Errorf("values: %s", problem))
		}
	}
	for _, sub := range h.Dependencies() {
		below, ok := values[sub.Name()].(map[string]any)
		if !ok {
			continue
		}
		name := sub.Name()
		if at != "" {
			name = at + "." + name
		}
		errs = append(errs, checkSchemas(sub, below, name)...)
	}
	return unique(errs)
}

// CheckAsDependency says whether the chart's schema, and those of the charts
// below it, admit what Helm gives to a dependency: `global`, and `enabled` where
// the condition is called so. An umbrella is nobody's dependency and needs no
// `enabled`.
func (c *Chart) CheckAsDependency() error {
	var errs []error
	if text := c.files["values.schema.json"]; text != nil {
		values := map[string]any{}
		if err := yaml.Unmarshal(c.DefaultValues(), &values); err != nil {
			return fmt.Errorf("chart %s: values.yaml: %w", c.Name, err)
		}
		values["global"] = map[string]any{"somebodyElse": map[string]any{"key": "value"}}
		if !slices.ContainsFunc(c.deps, func(sub *Chart) bool { return !sub.IsLibrary() }) {
			values["enabled"] = true
		}
		problems, err := checkSchema(text, values)
		if err != nil {
			return fmt.Errorf("chart %s: values.schema.json: %w", c.Name, err)
		}
		for _, p := range problems {
			if first, _, _ := strings.Cut(p.Path, "."); first == "global" || first == "enabled" {
				errs = append(errs, fmt.Errorf("chart %s: %s", c.Name, p))
			}
		}
	}
	for _, sub := range c.deps {
		errs = append(errs, sub.CheckAsDependency())
	}
	return errors.Join(errs...)
}

func checkSchema(text []byte, values map[string]any) ([]jsonschema.Problem, error) {
	schema, err := compiled(text)
	if err != nil {
		return nil, err
	}
	return schema.Validate(asJSON(values)), nil
}

// schemas are those that were compiled, by their text: a chart is checked with
// many values.
var schemas sync.Map

func compiled(text []byte) (*jsonschema.Schema, error) {
	if known, has := schemas.Load(string(text)); has {
		return known.(*jsonschema.Schema), nil
	}
	set, err := jsonschema.Parse(text)
	if err != nil {
		return nil, err
	}
	schema, err := set.Compile("")
	if err != nil {
		return nil, err
	}
	schemas.Store(string(text), schema)
	return schema, nil
}

func unique(errs []error) []error {
	seen := map[string]bool{}
	return slices.DeleteFunc(errs, func(err error) bool {
		was := seen[err.Error()]
		seen[err.Error()] = true
		return was
	})
}

// asJSON turns Helm's named map type, at any depth, into what the validator
// knows.
func asJSON(v any) any {
	switch v := v.(type) {
	case chartutil.Values:
		return asJSON(map[string]any(v))
	case map[string]any:
		m := make(map[string]any, len(v))
		for key, value := range v {
			m[key] = asJSON(value)
		}
		return m
	case []any:
		list := make([]any, len(v))
		for i, value := range v {
			list[i] = asJSON(value)
		}
		return list
	default:
		return v
	}
}
