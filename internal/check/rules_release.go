package check

import (
	"maps"
	"reflect"

	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/tmorin/homecloud/internal/immutable"
)

var releaseRules = []Rule{
	{ID: "immutable", Severity: Error, Summary: "Nothing changes that Kubernetes lets nobody change",
		Why:  "the upgrade fails in the middle; deleting the object first may delete data",
		Mend: "keep the field as it was, or give the object another name", check: checkImmutable},
}

func checkImmutable(r *run) {
	if r.Before == nil {
		return
	}
	earlier, _ := r.read(r.Before, r.with.Namespace)
	for _, o := range r.objects {
		for _, former := range earlier {
			if o.hooks() == nil && former.is(o.kind) && o.is(o.kind) && former.name == o.name && former.namespace == o.namespace {
				r.immutable(o, former)
			}
		}
	}
}

func (r *run) immutable(o, former *object) {
	for _, c := range immutable.Changes(o.kind, former.value, o.value) {
		if o.kind == "Pod" || c.Path == "spec.template" { // passwords may stand there
			r.found(o, "%s can't be changed, and differs", c.Path)
		} else {
			r.found(o, "%s was %s and is %s now", c.Path, brief(c.Was), brief(c.Is))
		}
	}
	switch o.kind {
	case "PersistentVolumeClaim":
		if was, is := former.size(), o.size(); is.Cmp(was) < 0 {
			r.found(o, "spec.resources.requests.storage was %s and is %s now: a volume can't shrink", &was, &is)
		}
	case "Secret", "ConfigMap":
		if former.value["immutable"] != true {
			return
		}
		if o.value["immutable"] != true {
			r.found(o, "was immutable, and has to stay so")
		}
		for _, field := range []string{"data", "stringData", "binaryData"} {
			was, _ := former.value[field].(map[string]any)
			is, _ := o.value[field].(map[string]any)
			if !maps.EqualFunc(was, is, func(a, b any) bool { return reflect.DeepEqual(a, b) }) {
				r.found(o, "is immutable and holds something else now")
				return
			}
		}
	}
}

// size is how much a claim asks for.
func (o *object) size() resource.Quantity {
	written, _, _ := unstructured.NestedFieldNoCopy(o.value, "spec", "resources", "requests", "storage")
	text, _ := written.(string)
	size, _ := resource.ParseQuantity(text) // what is no quantity is the schemas' matter
	return size
}
