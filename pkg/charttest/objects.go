package charttest

import (
	"fmt"
	"reflect"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	kuberuntime "k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/yaml"

	"github.com/tmorin/homecloud/internal/chart"
)

// Rendering is what a chart became with some values. Its methods fail the test
// that rendered it.
type Rendering struct {
	t        testing.TB
	chart    *Chart
	settings *settings
	result   *result
}

// Object is a rendered object. One that should be there and isn't has failed the
// test already.
type Object struct {
	*unstructured.Unstructured
	Source string // the template, such as web/templates/deployment.yaml

	rendering *Rendering
	text      string
}

// document is a part of what was rendered, parsed. Tests share it.
type document struct {
	chart.Document
	value      map[string]any
	kind, name string
}

// known are the documents that were parsed, by their text: with other values
// most of them stay the same.
var known sync.Map

// parse reads documents; those that say nothing are left out.
func parse(documents []chart.Document) (parsed []document, err error) {
	all := make([]document, len(documents))
	var readers errgroup.Group
	readers.SetLimit(runtime.GOMAXPROCS(0))
	for i, d := range documents {
		if p, has := known.Load(d.Text); has {
			all[i] = p.(document)
			continue
		}
		readers.Go(func() error {
			read := document{}
			if err := yaml.Unmarshal([]byte(d.Text), &read.value); err != nil {
				return fmt.Errorf("%s: not YAML: %w\n%s", d.Source, err, d.Text)
			}
			u := unstructured.Unstructured{Object: read.value}
			read.kind, read.name = u.GetKind(), u.GetName()
			known.Store(d.Text, read)
			all[i] = read
			return nil
		})
	}
	if err := readers.Wait(); err != nil {
		return nil, err
	}
	for i, d := range documents {
		if p := all[i]; len(p.value) > 0 {
			p.Document = d
			parsed = append(parsed, p)
		}
	}
	return parsed, nil
}

// object gives a test an object of its own.
func (r *Rendering) object(d document) *Object {
	return &Object{Unstructured: &unstructured.Unstructured{Object: kuberuntime.DeepCopyJSON(d.value)}, rendering: r, text: d.Text, Source: d.Source}
}

// String is "Deployment web".
func (o *Object) String() string { return o.GetKind() + " " + o.GetName() }

var sourceLine = regexp.MustCompile(`(?m)^# Source: (.*)$`)

// Objects returns all objects in the order of their installation, hooks last.
func (r *Rendering) Objects() (objects []*Object) {
	r.t.Helper()
	documents := chart.SplitManifest("", string(r.YAML()))
	for i, d := range documents {
		if m := sourceLine.FindStringSubmatch(d.Text); m != nil {
			documents[i].Source = m[1]
		}
	}
	parsed, err := parse(documents)
	if err != nil {
		r.t.Fatal(err)
	}
	for _, d := range parsed {
		objects = append(objects, r.object(d))
	}
	return objects
}

// Names returns all objects as "Kind name", in the order of their installation.
func (r *Rendering) Names() []string {
	r.t.Helper()
	var names []string
	for _, o := range r.Objects() {
		names = append(names, o.String())
	}
	return names
}

func (r *Rendering) whole() *chart.Rendering {
	r.t.Helper()
	whole, err := r.result.whole()
	if err != nil {
		r.t.Fatal(err)
	}
	return whole
}

// Notes is what the chart tells after an installation.
func (r *Rendering) Notes() string {
	r.t.Helper()
	return r.whole().Notes
}

// YAML is the whole rendering, as `helm template` prints it.
func (r *Rendering) YAML() []byte {
	r.t.Helper()
	return r.whole().YAML()
}

func (r *Rendering) find(kind, name string) *Object {
	for _, d := range r.result.documents {
		if d.kind == kind && d.name == name {
			return r.object(d)
		}
	}
	return nil
}

// Has says whether an object is there.
func (r *Rendering) Has(kind, name string) bool { return r.find(kind, name) != nil }

// Object returns an object, and fails the test when it isn't there.
func (r *Rendering) Object(kind, name string) *Object {
	r.t.Helper()
	o := r.find(kind, name)
	if o == nil {
		r.t.Fatalf("chart %s renders no %s %s%s, but\n  %s%s", r.chart.chart.Name, kind, name, r.with(), strings.Join(r.Names(), "\n  "), r.explainMissing(kind, name))
	}
	return o
}

// Lacks fails the test when an object is there.
func (r *Rendering) Lacks(kind, name string) {
	r.t.Helper()
	if o := r.find(kind, name); o != nil {
		r.t.Errorf("chart %s renders the %s (%s)%s", r.chart.chart.Name, o, o.Source, r.with())
	}
}

func (r *Rendering) with() string {
	if files := r.settings.files(); files != "" {
		return " " + files
	}
	return ""
}

// Get returns an object of a type of Kubernetes' Go client, such as
// *appsv1.Deployment, by its name. A field that the type doesn't know fails the
// test.
func Get[T kuberuntime.Object](r *Rendering, name string) T {
	r.t.Helper()
	var typed T
	kind := kindOf(reflect.TypeOf(typed))
	o := r.Object(kind, name)
	return decode[T](o)
}

// All returns all objects of a type, in the order of their installation.
func All[T kuberuntime.Object](r *Rendering) (found []T) {
	r.t.Helper()
	var typed T
	kind := kindOf(reflect.TypeOf(typed))
	for _, o := range r.Objects() {
		if o.GetKind() == kind {
			found = append(found, decode[T](o))
		}
	}
	return found
}

// kindOf is how Kubernetes calls a Go type.
func kindOf(t reflect.Type) string {
	for known, goType := range scheme.Scheme.AllKnownTypes() {
		if goType == t.Elem() && known.Version != kuberuntime.APIVersionInternal {
			return known.Kind
		}
	}
	return t.Elem().Name()
}

func decode[T kuberuntime.Object](o *Object) T {
	t := o.rendering.t
	t.Helper()
	var typed T
	created, is := reflect.New(reflect.TypeOf(typed).Elem()).Interface().(T)
	if !is {
		t.Fatalf("%T is no type of an object", typed)
	}
	if known, _, err := scheme.Scheme.ObjectKinds(created); err == nil && !contains(known, o.GroupVersionKind()) {
		t.Fatalf("the %s is %s, but %T is %s", o, o.GetAPIVersion(), typed, known[0].GroupVersion())
	}
	if err := yaml.UnmarshalStrict([]byte(o.text), created); err != nil {
		t.Fatalf("%s (%s): %v", o, o.Source, err)
	}
	return created
}

func contains(list []schema.GroupVersionKind, wanted schema.GroupVersionKind) bool {
	for _, known := range list {
		if known == wanted {
			return true
		}
	}
	return false
}

// Field is a field of an object.
type Field struct {
	object *Object
	path   string
}

// Field returns a field by its path, such as spec.replicas. An entry of a list is
// named by its place, containers[0], or by a field of its own,
// containers[name=web]; a key with dots stands in quotes, annotations["a.b/c"].
func (o *Object) Field(path string) *Field { return &Field{o, path} }

// Value returns the field's value as JSON has it, and whether it is there.
func (f *Field) Value() (value any, has bool) {
	f.object.rendering.t.Helper()
	value, has, err := lookUp(f.object.Object, f.path)
	if err != nil {
		f.object.rendering.t.Fatalf("the path %s: %v", f.path, err)
	}
	return value, has
}

// Equals fails the test unless the field has a value; numbers are compared as
// numbers, maps and lists as a whole.
func (f *Field) Equals(want any) {
	f.object.rendering.t.Helper()
	got, has := f.Value()
	if !has || !equal(got, want) {
		f.fail(fmt.Sprintf("is %s, want %s", shown(got, has), shown(want, true)))
	}
}

// Contains fails the test unless the field is a text with such a part, a list
// with such an entry, or a map with such a key.
func (f *Field) Contains(want any) {
	f.object.rendering.t.Helper()
	got, has := f.Value()
	switch v := got.(type) {
	case string:
		if part, is := want.(string); is && strings.Contains(v, part) {
			return
		}
	case []any:
		for _, entry := range v {
			if equal(entry, want) {
				return
			}
		}
	case map[string]any:
		if key, is := want.(string); is {
			if _, has := v[key]; has {
				return
			}
		}
	}
	f.fail(fmt.Sprintf("is %s, which doesn't contain %s", shown(got, has), shown(want, true)))
}

// Absent fails the test when the field is there.
func (f *Field) Absent() {
	f.object.rendering.t.Helper()
	if got, has := f.Value(); has {
		f.fail(fmt.Sprintf("is %s, want nothing", shown(got, has)))
	}
}

// Present fails the test unless the field is there.
func (f *Field) Present() {
	f.object.rendering.t.Helper()
	if _, has := f.Value(); !has {
		f.fail("isn't there")
	}
}

func (f *Field) fail(what string) {
	r := f.object.rendering
	r.t.Helper()
	r.t.Errorf("%s (%s): %s %s%s", f.object, f.object.Source, f.path, what, r.explain(f))
}

func shown(value any, has bool) string {
	if !has {
		return "nothing"
	}
	text := toYAML(value)
	if strings.Contains(text, "\n") {
		return "\n" + text + "\n"
	}
	return text
}

// equal compares as JSON does: 1 is 1, of whatever type.
func equal(a, b any) bool { return toYAML(a) == toYAML(b) }

var step = regexp.MustCompile(`^(?:\.?([A-Za-z0-9_-]+)|\[(\d+)\]|\[([A-Za-z0-9_-]+)=([^\]]+)\]|\["([^"]*)"\])`)

// lookUp follows a path.
func lookUp(value any, path string) (found any, has bool, err error) {
	for rest := path; rest != ""; {
		m := step.FindStringSubmatch(rest)
		if m == nil {
			return nil, false, fmt.Errorf("%q is no step; write .field, [0], [name=web] or [\"a.b\"]", rest)
		}
		rest = rest[len(m[0]):]
		switch v := value.(type) {
		case map[string]any:
			key := m[1] + m[5]
			if value, has = v[key]; !has || m[2] != "" || m[3] != "" {
				return nil, false, nil
			}
		case []any:
			if value, has = entry(v, m); !has {
				return nil, false, nil
			}
		default:
			return nil, false, nil
		}
	}
	return value, true, nil
}

func entry(list []any, m []string) (any, bool) {
	if m[2] != "" {
		if i, err := strconv.Atoi(m[2]); err == nil && i < len(list) {
			return list[i], true
		}
		return nil, false
	}
	for _, e := range list {
		if e, is := e.(map[string]any); is && m[3] != "" && fmt.Sprint(e[m[3]]) == m[4] {
			return e, true
		}
	}
	return nil, false
}
