package check

import (
	"reflect"
	"strings"

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
	before, _ := r.read(r.Before, r.with.Namespace)
	for _, o := range r.objects {
		for _, former := range before {
			if former.kind != o.kind || former.name != o.name || former.namespace != o.namespace || o.hooks() != nil {
				continue
			}
			for _, path := range immutable.Fields(o.kind) {
				was, had, _ := unstructured.NestedFieldNoCopy(former.value, strings.Split(path, ".")...)
				is, has, _ := unstructured.NestedFieldNoCopy(o.value, strings.Split(path, ".")...)
				if reflect.DeepEqual(was, is) || !had && !has || o.kind == "Service" && (!has || is == "") {
					continue
				}
				r.found(o, "%s was %s and is %s now", path, brief(was), brief(is))
			}
			if fixed, _ := former.value["immutable"].(bool); fixed && (o.kind == "Secret" || o.kind == "ConfigMap") &&
				!reflect.DeepEqual([]any{former.value["data"], former.value["stringData"]}, []any{o.value["data"], o.value["stringData"]}) {
				r.found(o, "is immutable and holds something else now")
			}
		}
	}
}
