// Package diff says what changes between two states of a cluster's objects, and
// what that means: for nobody, for whoever is using a service, or for data. It
// asks no cluster; whoever calls it brings both states.
package diff

import (
	"cmp"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// Object is an object before and after; nil: it isn't there.
type Object struct {
	Before, After map[string]any
	// Refused is why the API server doesn't take the change; empty: it does.
	Refused string
}

// Effect is what a change means for people.
type Effect string

// The effects, from good to bad.
const (
	Harmless  Effect = "harmless"
	Restarts  Effect = "restarts pods"
	Withdraws Effect = "takes access away"
	Data      Effect = "moves or drops data"
)

// Change is what happens to one object, or to a share, person or board of the
// cloud.
type Change struct {
	Effect Effect `json:"effect"`
	Verb   string `json:"verb"` // create, update, delete, or keep for what a release leaves behind
	Kind   string `json:"kind"`
	Name   string `json:"name"`
	// Namespace is empty for objects of the whole cluster.
	Namespace string  `json:"namespace,omitempty"`
	Fields    []Field `json:"fields,omitempty"` // of an update
	// Why says what is lost, moved or taken away; empty for other effects.
	Why []string `json:"why,omitempty"`
}

// String is "DaemonSet homecloud-dnas-syncthing".
func (c Change) String() string { return c.Kind + " " + c.Name }

// Field is a field that changes. Values are as JSON has them, masked where they
// are secret.
type Field struct {
	Path   string `json:"path"` // such as spec.template.spec.containers[name=web].image
	Before any    `json:"before,omitempty"`
	After  any    `json:"after,omitempty"`
}

// Compare returns what changes, by effect and then by name. What a controller
// or the API server writes is no change.
func Compare(objects []Object) []Change {
	changes := []Change{}
	mask := newMask()
	for _, o := range objects {
		o = Object{mask.object(declared(o.Before)), mask.object(declared(o.After)), mask.refusal(o.Refused)}
		if change, is := o.change(); is {
			changes = append(changes, change)
		}
	}
	Sort(changes)
	return changes
}

// Sort sorts changes by effect and then by name.
func Sort(changes []Change) {
	order := []Effect{Harmless, Restarts, Withdraws, Data}
	slices.SortFunc(changes, func(a, b Change) int {
		return cmp.Or(cmp.Compare(slices.Index(order, a.Effect), slices.Index(order, b.Effect)), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
}

func (o Object) change() (Change, bool) {
	some := o.After
	if some == nil {
		some = o.Before
	}
	u := unstructured.Unstructured{Object: some}
	c := Change{Effect: Harmless, Kind: u.GetKind(), Name: u.GetName(), Namespace: u.GetNamespace()}
	switch {
	case o.Before == nil:
		c.Verb = "create"
	case o.After == nil:
		c.Verb = "delete"
		if kept(o.Before) {
			c.Verb = "keep"
		}
	default:
		c.Verb = "update"
		c.Fields = fields(o.Before, o.After)
		if len(c.Fields) == 0 && o.Refused == "" {
			return Change{}, false
		}
	}
	c.Effect, c.Why = effect(c, o)
	return c, true
}

// written are the parts of an object that others write.
var written = [][]string{
	{"status"},
	{"metadata", "managedFields"}, {"metadata", "resourceVersion"}, {"metadata", "uid"}, {"metadata", "creationTimestamp"}, {"metadata", "generation"}, {"metadata", "selfLink"},
	{"metadata", "annotations", "deployment.kubernetes.io/revision"}, {"metadata", "annotations", "deprecated.daemonset.template.generation"},
	{"metadata", "annotations", "kubectl.kubernetes.io/last-applied-configuration"},
	{"metadata", "annotations", "meta.helm.sh/release-name"}, {"metadata", "annotations", "meta.helm.sh/release-namespace"}, {"metadata", "labels", "app.kubernetes.io/managed-by"},
	{"spec", "template", "metadata", "creationTimestamp"},
}

// declared is an object without what others write.
func declared(object map[string]any) map[string]any {
	for _, path := range written {
		object = without(object, path)
	}
	return object
}

// without copies only what it changes.
func without(object map[string]any, path []string) map[string]any {
	value, has := object[path[0]]
	if !has {
		return object
	}
	copied := maps.Clone(object)
	if len(path) == 1 {
		delete(copied, path[0])
		return copied
	}
	inner, is := value.(map[string]any)
	if !is {
		return object
	}
	if inner = without(inner, path[1:]); len(inner) == 0 {
		delete(copied, path[0])
	} else {
		copied[path[0]] = inner
	}
	return copied
}

// fields lists what differs between two values.
func fields(before, after map[string]any) []Field {
	var found []Field
	compare("", before, after, func(f Field) { found = append(found, f) })
	return found
}

func compare(path string, before, after any, differs func(Field)) {
	if same(before, after) {
		return
	}
	was, wasMap := before.(map[string]any)
	is, isMap := after.(map[string]any)
	if wasMap && isMap {
		for _, key := range keys(was, is) {
			compare(join(path, key), was[key], is[key], differs)
		}
		return
	}
	wasList, bothLists := before.([]any)
	isList, isAlso := after.([]any)
	if bothLists && isAlso {
		if key := mergeKey(wasList, isList); key != "" {
			byKey(path, key, wasList, isList, differs)
			return
		}
		if len(wasList) == len(isList) {
			for i := range wasList {
				compare(fmt.Sprintf("%s[%d]", path, i), wasList[i], isList[i], differs)
			}
			return
		}
	}
	differs(Field{Path: path, Before: before, After: after})
}

// same says whether two values are: numbers by their value, since one side may
// come from YAML and the other from an API server; nothing, null and an empty
// map or list are one.
func same(a, b any) bool {
	if empty(a) && empty(b) {
		return true
	}
	if x, is := asFloat(a); is {
		y, also := asFloat(b)
		return also && x == y
	}
	return reflect.DeepEqual(a, b)
}

func empty(value any) bool {
	switch v := value.(type) {
	case nil:
		return true
	case map[string]any:
		return len(v) == 0
	case []any:
		return len(v) == 0
	}
	return false
}

func asFloat(value any) (float64, bool) {
	switch v := value.(type) {
	case int64:
		return float64(v), true
	case int:
		return float64(v), true
	case float64:
		return v, true
	}
	return 0, false
}

func keys(a, b map[string]any) []string {
	all := map[string]bool{}
	for key := range a {
		all[key] = true
	}
	for key := range b {
		all[key] = true
	}
	return slices.Sorted(maps.Keys(all))
}

// mergeKeys are the fields that tell the entries of a list apart, as
// Kubernetes merges them; the first that all entries have with different values
// is taken.
var mergeKeys = []string{"name", "mountPath", "containerPort", "port", "type", "key", "uid"}

func mergeKey(lists ...[]any) string {
	for _, key := range mergeKeys {
		fits := true
		for _, list := range lists {
			seen := map[string]bool{}
			for _, entry := range list {
				object, is := entry.(map[string]any)
				value, has := object[key]
				if !is || !has || seen[fmt.Sprint(value)] {
					fits = false
				}
				seen[fmt.Sprint(value)] = true
			}
		}
		if fits {
			return key
		}
	}
	return ""
}

func byKey(path, key string, before, after []any, differs func(Field)) {
	of := func(list []any) map[string]any {
		entries := map[string]any{}
		for _, entry := range list {
			entries[fmt.Sprint(entry.(map[string]any)[key])] = entry
		}
		return entries
	}
	was, is := of(before), of(after)
	if slices.Equal(slices.Sorted(maps.Keys(was)), slices.Sorted(maps.Keys(is))) && differentOrder(key, before, after) && onlyOrder(was, is) {
		differs(Field{Path: path, Before: order(key, before), After: order(key, after)})
		return
	}
	for _, name := range keys(was, is) {
		compare(fmt.Sprintf("%s[%s=%s]", path, key, name), was[name], is[name], differs)
	}
}

func onlyOrder(was, is map[string]any) bool {
	for name := range was {
		if !same(was[name], is[name]) {
			return false
		}
	}
	return true
}

func order(key string, list []any) []any {
	var names []any
	for _, entry := range list {
		names = append(names, entry.(map[string]any)[key])
	}
	return names
}

func differentOrder(key string, a, b []any) bool {
	return fmt.Sprint(order(key, a)) != fmt.Sprint(order(key, b))
}

func join(path, key string) string {
	switch {
	case strings.ContainsAny(key, `.[]"`):
		return fmt.Sprintf("%s[%q]", path, key)
	case path == "":
		return key
	}
	return path + "." + key
}

// Pair puts the objects of two renderings together that are the same by kind and
// name. Lists are taken apart.
func Pair(before, after []map[string]any) []Object {
	before, after = apart(before), apart(after)
	type identity struct{ group, kind, namespace, name string }
	identify := func(object map[string]any) identity {
		u := unstructured.Unstructured{Object: object}
		return identity{u.GroupVersionKind().Group, u.GetKind(), u.GetNamespace(), u.GetName()}
	}
	was := map[identity]map[string]any{}
	for _, object := range before {
		was[identify(object)] = object
	}
	var pairs []Object
	for _, object := range after {
		id := identify(object)
		pairs = append(pairs, Object{Before: was[id], After: object})
		delete(was, id)
	}
	for _, object := range before {
		if was[identify(object)] != nil {
			pairs = append(pairs, Object{Before: object})
		}
	}
	return pairs
}

// apart are the objects of lists, as whoever applies them takes them.
func apart(objects []map[string]any) (all []map[string]any) {
	for _, object := range objects {
		items, isList := object["items"].([]any)
		if kind, _ := object["kind"].(string); !isList || !strings.HasSuffix(kind, "List") {
			all = append(all, object)
			continue
		}
		for _, item := range items {
			if object, is := item.(map[string]any); is {
				all = append(all, apart([]map[string]any{object})...)
			}
		}
	}
	return all
}
