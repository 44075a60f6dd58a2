package check

import (
	"reflect"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

var releaseRules = []Rule{
	{ID: "immutable", Severity: Error, Summary: "Nothing changes that Kubernetes lets nobody change",
		Why:  "the upgrade fails in the middle; deleting the object first may delete data",
		Mend: "keep the field as it was, or give the object another name", check: checkImmutable},
}

// immutable are the fields that can't be changed once an object is there.
// Source: the validation of updates in Kubernetes (pkg/apis/*/validation).
var immutable = map[string][]string{
	"Deployment": {"spec.selector"}, "DaemonSet": {"spec.selector"}, "ReplicaSet": {"spec.selector"},
	"StatefulSet":           {"spec.selector", "spec.serviceName", "spec.podManagementPolicy", "spec.volumeClaimTemplates"},
	"Job":                   {"spec.selector", "spec.template", "spec.completions", "spec.completionMode"},
	"PersistentVolumeClaim": {"spec.accessModes", "spec.storageClassName", "spec.volumeName", "spec.volumeMode", "spec.selector"},
	"Service":               {"spec.clusterIP"},
	"RoleBinding":           {"roleRef"}, "ClusterRoleBinding": {"roleRef"},
	"StorageClass":  {"provisioner", "parameters", "reclaimPolicy", "volumeBindingMode"},
	"Secret":        {"type"},
	"PriorityClass": {"value", "preemptionPolicy"}, "CSIDriver": {"spec.attachRequired"}, "RuntimeClass": {"handler"},
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
			for _, path := range immutable[o.kind] {
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
