// Package kubeschema says whether objects are what Kubernetes takes, without a
// cluster: by the Go types of its client, which give the best messages for
// fields that are misspelt or of a wrong type, and by its schemas, which also
// know what is required and which values a field may have. It carries the
// structure of Kubernetes' own kinds in several versions; kinds of others come
// from CustomResourceDefinitions, a folder or a cluster.
//
// Rules that only an API server evaluates (names, combinations of fields,
// validation in CEL) are not checked.
package kubeschema

import (
	"bytes"
	"compress/gzip"
	_ "embed" // the extract
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/tmorin/homecloud/internal/jsonschema"
)

// builtin is made by `make kube-schemas`.
//
//go:embed kubernetes.json.gz
var builtin []byte

// Schemas are the kinds that are known. Several goroutines may use it.
type Schemas struct {
	*kubernetes
	custom map[string]*customKind // by Key
}

// kubernetes are Kubernetes' own kinds, in all versions.
type kubernetes struct {
	extract Extract
	partial bool // groups may be missing

	mutex    sync.Mutex
	sets     map[int]*jsonschema.Set // by index of the version
	compiled map[string]*jsonschema.Schema
}

// customKind is one that a CustomResourceDefinition makes.
type customKind struct {
	namespaced bool
	compile    func() (*jsonschema.Schema, error)
	schema     object // as the definition writes it
}

// Builtin returns the schemas of Kubernetes' own kinds.
func Builtin() (*Schemas, error) {
	reader, err := gzip.NewReader(bytes.NewReader(builtin))
	if err != nil {
		return nil, fmt.Errorf("schemas of Kubernetes: %w", err)
	}
	var extract Extract
	if err := json.NewDecoder(reader).Decode(&extract); err != nil {
		return nil, fmt.Errorf("schemas of Kubernetes: %w", err)
	}
	return &Schemas{kubernetes: newKubernetes(extract)}, nil
}

func newKubernetes(extract Extract) *kubernetes {
	return &kubernetes{extract: extract, sets: map[int]*jsonschema.Set{}, compiled: map[string]*jsonschema.Schema{}}
}

// Shared is Builtin, read once in a process.
var Shared = sync.OnceValues(Builtin)

// Versions are the versions of Kubernetes that can be checked against, such as
// 1.34, oldest first.
func (s *Schemas) Versions() []string { return slices.Clone(s.extract.Versions) }

// With returns the schemas with the kinds that a CustomResourceDefinition makes.
func (s *Schemas) With(definition map[string]any) (*Schemas, error) {
	var crd struct {
		Metadata struct{ Name string }
		Spec     struct {
			Group    string
			Names    struct{ Kind, Plural string }
			Scope    string
			Versions []struct {
				Name   string
				Served bool
				Schema struct{ OpenAPIV3Schema object }
			}
		}
	}
	text, err := json.Marshal(definition)
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(text, &crd); err != nil {
		return nil, fmt.Errorf("CustomResourceDefinition: %w", err)
	}
	switch {
	case crd.Spec.Scope != "Namespaced" && crd.Spec.Scope != "Cluster":
		return nil, fmt.Errorf("CustomResourceDefinition: spec.scope is %q; write Namespaced or Cluster", crd.Spec.Scope)
	case crd.Metadata.Name != crd.Spec.Names.Plural+"."+crd.Spec.Group:
		return nil, fmt.Errorf("CustomResourceDefinition: metadata.name is %q, but must be %s.%s, its plural and group", crd.Metadata.Name, crd.Spec.Names.Plural, crd.Spec.Group)
	}
	with := &Schemas{kubernetes: s.kubernetes, custom: maps.Clone(s.custom)}
	if with.custom == nil {
		with.custom = map[string]*customKind{}
	}
	for _, version := range crd.Spec.Versions {
		if !version.Served || version.Schema.OpenAPIV3Schema == nil {
			continue
		}
		schema := structure(version.Schema.OpenAPIV3Schema, nil)
		properties, _ := schema["properties"].(object)
		if properties == nil {
			properties = object{}
			schema["properties"] = properties
		}
		properties["apiVersion"], properties["kind"] = object{"type": "string"}, object{"type": "string"}
		properties["metadata"] = object{"$ref": ownReferences + objectMeta}
		with.custom[Key(crd.Spec.Group+"/"+version.Name, crd.Spec.Names.Kind)] = &customKind{crd.Spec.Scope != "Cluster", sync.OnceValues(func() (*jsonschema.Schema, error) {
			return s.compileCustom(schema)
		}), version.Schema.OpenAPIV3Schema}
	}
	return with, nil
}

const objectMeta = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"

// Scope says whether objects of a kind lie in a namespace; known is false when
// nobody knows the kind.
func (s *Schemas) Scope(apiVersion, kind string) (namespaced, known bool) {
	if custom, is := s.custom[Key(apiVersion, kind)]; is {
		return custom.namespaced, true
	}
	kinds := s.extract.Kinds[Key(apiVersion, kind)]
	if len(kinds) == 0 {
		return false, false
	}
	return kinds[len(kinds)-1].Namespaced, true
}

// IsCustom says whether a kind comes from a CustomResourceDefinition.
func (s *Schemas) IsCustom(apiVersion, kind string) bool {
	_, is := s.custom[Key(apiVersion, kind)]
	return is || !isBuiltin(apiVersion)
}

// Offered are the stable APIs that a version of Kubernetes serves, as templates
// ask for them: GROUP/VERSION and GROUP/VERSION/Kind, sorted.
func (s *Schemas) Offered(version string) (apis []string) {
	for key, kinds := range s.extract.Kinds {
		apiVersion, kind, _ := strings.Cut(key, " ")
		if isStable(apiVersion) && s.serves(kinds, []string{version}) {
			apis = append(apis, apiVersion, apiVersion+"/"+kind)
		}
	}
	slices.Sort(apis)
	return slices.Compact(apis)
}

// HasRules says whether the definition of a kind has rules in CEL, which only an
// API server evaluates.
func (s *Schemas) HasRules(apiVersion, kind string) (has bool) {
	if custom := s.custom[Key(apiVersion, kind)]; custom != nil {
		walk(custom.schema, func(o object) {
			_, here := o["x-kubernetes-validations"].([]any)
			has = has || here
		})
	}
	return has
}

// describes says whether a kind of a group would be known if there were one.
func (s *Schemas) describes(apiVersion string) bool {
	if !s.partial {
		return true
	}
	for key := range s.extract.Kinds {
		if groupOf(key) == groupOf(apiVersion) {
			return true
		}
	}
	return false
}

// groupOf is apps of apps/v1, and nothing of v1.
func groupOf(apiVersion string) string {
	group, _, has := strings.Cut(apiVersion, "/")
	if !has {
		return ""
	}
	return group
}

// Result is what is known of an object.
type Result struct {
	Problems []jsonschema.Problem
	// Unknown says that nobody knows the kind: nothing but its form was checked.
	Unknown bool
}

// Validate checks an object against some versions: its text in YAML, for what
// only the text shows, and its value. What is wrong in some of the versions only
// says so.
func (s *Schemas) Validate(text []byte, value map[string]any, versions []string) (Result, error) {
	apiVersion, _ := value["apiVersion"].(string)
	kind, _ := value["kind"].(string)
	key := Key(apiVersion, kind)
	typed := decode(text)
	if custom, is := s.custom[key]; is {
		schema, err := custom.compile()
		if err != nil {
			return Result{}, err
		}
		return Result{Problems: typed.and(schema.Validate(withoutNulls(value)))}, nil
	}
	if len(s.extract.Kinds[key]) == 0 {
		if isBuiltin(apiVersion) && s.describes(apiVersion) {
			problem := jsonschema.Problem{Path: "apiVersion", Text: fmt.Sprintf("Kubernetes %s doesn't serve %s %s", spoken(versions), apiVersion, kind)}
			if other := s.servedAs(kind, versions); other != "" {
				problem.Text += "; write " + other
			}
			return Result{Problems: []jsonschema.Problem{problem}}, nil
		}
		return Result{Problems: typed.problems, Unknown: true}, nil
	}
	found := map[jsonschema.Problem][]string{}
	for i, version := range versions {
		problems, err := s.validateIn(version, key, withoutNulls(value))
		if err != nil {
			return Result{}, err
		}
		for _, problem := range typed.and(problems) {
			found[problem] = append(found[problem], version)
		}
		if i == 0 && len(found) == 0 && isStable(apiVersion) && s.serves(s.extract.Kinds[key], versions) {
			break // later versions of a stable API only add to it
		}
	}
	var problems []jsonschema.Problem
	for problem, in := range found {
		if len(in) < len(versions) {
			problem.Text += " (Kubernetes " + spoken(in) + ")"
		}
		problems = append(problems, problem)
	}
	slices.SortFunc(problems, func(a, b jsonschema.Problem) int { return strings.Compare(a.String(), b.String()) })
	return Result{Problems: problems}, nil
}

// isStable says whether an API is neither alpha nor beta.
func isStable(apiVersion string) bool {
	return !strings.Contains(apiVersion, "alpha") && !strings.Contains(apiVersion, "beta")
}

func (s *Schemas) validateIn(version, key string, value any) ([]jsonschema.Problem, error) {
	index := slices.Index(s.extract.Versions, version)
	if index < 0 {
		return nil, fmt.Errorf("the schemas of Kubernetes %s aren't here; there are those of %s", version, spoken(s.extract.Versions))
	}
	i := slices.IndexFunc(s.extract.Kinds[key], func(k Kind) bool { return k.Versions&(1<<index) != 0 })
	if i < 0 {
		return []jsonschema.Problem{{Path: "apiVersion", Text: key + " isn't served"}}, nil // said with the versions
	}
	name := s.extract.Kinds[key][i].Schema
	schema, err := s.compile(index, name)
	if err != nil {
		return nil, err
	}
	return schema.Validate(value), nil
}

// compile compiles a definition of a version.
func (k *kubernetes) compile(index int, name string) (*jsonschema.Schema, error) {
	k.mutex.Lock()
	defer k.mutex.Unlock()
	id := fmt.Sprintf("%d %s", index, name)
	if schema := k.compiled[id]; schema != nil {
		return schema, nil
	}
	if k.sets[index] == nil {
		set, err := jsonschema.New(map[string]any{"definitions": k.definitions(index)})
		if err != nil {
			return nil, err
		}
		k.sets[index] = set
	}
	schema, err := k.sets[index].Compile("/definitions/" + name)
	if err != nil {
		return nil, fmt.Errorf("schema of %s: %w", name, err)
	}
	k.compiled[id] = schema
	return schema, nil
}

// compileCustom compiles a schema that may refer to Kubernetes' own.
func (k *kubernetes) compileCustom(schema object) (*jsonschema.Schema, error) {
	set, err := jsonschema.New(map[string]any{"definitions": k.definitions(len(k.extract.Versions) - 1), "custom": schema})
	if err != nil {
		return nil, err
	}
	return set.Compile("/custom")
}

// definitions are those of a version.
func (k *kubernetes) definitions(index int) map[string]any {
	definitions := map[string]any{}
	for name, forms := range k.extract.Definitions {
		for _, form := range forms {
			if form.Versions&(1<<index) != 0 {
				definitions[name] = form.Schema
			}
		}
	}
	return definitions
}

// servedAs is the newest apiVersion under which a kind is served in all
// versions; stable ones come before others.
func (s *Schemas) servedAs(kind string, versions []string) string {
	var candidates []string
	for key, kinds := range s.extract.Kinds {
		apiVersion, name, _ := strings.Cut(key, " ")
		if name == kind && isStable(apiVersion) && s.serves(kinds, versions) {
			candidates = append(candidates, apiVersion)
		}
	}
	if len(candidates) == 0 {
		return ""
	}
	return slices.Max(candidates)
}

func (s *Schemas) serves(kinds []Kind, versions []string) bool {
	var served uint
	for _, k := range kinds {
		served |= k.Versions
	}
	for _, version := range versions {
		if i := slices.Index(s.extract.Versions, version); i < 0 || served&(1<<i) == 0 {
			return false
		}
	}
	return true
}

// withoutNulls leaves out what is null: to an API server a field that is null
// isn't there.
func withoutNulls(value any) any {
	switch v := value.(type) {
	case map[string]any:
		result := make(map[string]any, len(v))
		for name, inner := range v {
			if inner != nil {
				result[name] = withoutNulls(inner)
			}
		}
		return result
	case []any:
		result := make([]any, len(v))
		for i, inner := range v {
			result[i] = withoutNulls(inner)
		}
		return result
	}
	return value
}

// spoken is "1.34, 1.35 and 1.36".
func spoken(versions []string) string {
	if len(versions) < 2 {
		return strings.Join(versions, "")
	}
	last := len(versions) - 1
	return strings.Join(versions[:last], ", ") + " and " + versions[last]
}

// MapKeys returns the fields that must be different in the entries of lists that
// server-side apply merges, by the path of the list with [] for every entry,
// such as spec.template.spec.containers[].env. Lists whose entries must be
// different as a whole have no fields.
func (s *Schemas) MapKeys(apiVersion, kind string) map[string][]string {
	found := map[string][]string{}
	if custom := s.custom[Key(apiVersion, kind)]; custom != nil {
		s.mapKeysOf(custom.schema, 0, "", found, nil)
		return found
	}
	kinds := s.extract.Kinds[Key(apiVersion, kind)]
	if len(kinds) > 0 {
		newest := kinds[len(kinds)-1]
		s.mapKeys(newest.Schema, newest.Versions, "", found, nil)
	}
	return found
}

func (s *Schemas) mapKeys(name string, versions uint, path string, found map[string][]string, trail []string) {
	if slices.Contains(trail, name) {
		return
	}
	forms := s.extract.Definitions[name]
	i := slices.IndexFunc(forms, func(d Definition) bool { return d.Versions&versions != 0 })
	if i < 0 {
		return
	}
	s.mapKeysOf(forms[i].Schema, versions, path, found, append(slices.Clone(trail), name))
}

func (s *Schemas) mapKeysOf(schema object, versions uint, path string, found map[string][]string, trail []string) {
	if ref, is := schema["$ref"].(string); is {
		s.mapKeys(strings.TrimPrefix(ref, ownReferences), versions, path, found, trail)
	}
	if schema["x-kubernetes-list-type"] == "set" {
		found[path] = []string{}
	}
	if keys, is := schema["x-kubernetes-list-map-keys"].([]any); is && schema["x-kubernetes-list-type"] == "map" {
		for _, key := range keys {
			found[path] = append(found[path], fmt.Sprint(key))
		}
	}
	if items, is := schema["items"].(object); is {
		s.mapKeysOf(items, versions, path+"[]", found, trail)
	}
	properties, _ := schema["properties"].(object)
	for _, field := range slices.Sorted(maps.Keys(properties)) {
		if property, is := properties[field].(object); is {
			s.mapKeysOf(property, versions, jsonschema.Join(path, field), found, trail)
		}
	}
}
