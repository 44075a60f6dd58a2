package check

import (
	"maps"
	"reflect"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

var releaseRules = []Rule{
	{ID: "immutable", Severity: Error, Summary: "Nothing changes that Kubernetes lets nobody change",
		Why:  "the upgrade fails in the middle; deleting the object first may delete data",
		Mend: "keep the field as it was, or give the object another name", check: checkImmutable},
}

// immutable are the fields that can't be changed once an object is there; a star
// stands for all fields but those that are changeable.
// Source: the validation of updates in Kubernetes (pkg/apis/*/validation).
var immutable = map[string][]string{
	"Deployment": {"spec.selector"}, "DaemonSet": {"spec.selector"}, "ReplicaSet": {"spec.selector"},
	"StatefulSet":           {"spec.*"},
	"Pod":                   {"spec.*"},
	"Job":                   {"spec.selector", "spec.template", "spec.completions", "spec.completionMode"},
	"PersistentVolume":      {"spec.*"},
	"PersistentVolumeClaim": {"spec.accessModes", "spec.storageClassName", "spec.volumeName", "spec.volumeMode", "spec.selector", "spec.dataSource", "spec.dataSourceRef"},
	"Service":               {"spec.clusterIP"},
	"RoleBinding":           {"roleRef"}, "ClusterRoleBinding": {"roleRef"},
	"StorageClass":  {"provisioner", "parameters", "reclaimPolicy", "volumeBindingMode"},
	"IngressClass":  {"spec.controller"},
	"Secret":        {"type"},
	"PriorityClass": {"value", "preemptionPolicy"}, "CSIDriver": {"spec.attachRequired"}, "RuntimeClass": {"handler"},
	"CustomResourceDefinition": {"spec.group", "spec.scope", "spec.names.kind", "spec.names.plural"},
}

// changeable are the fields that a star leaves out.
var changeable = map[string][]string{
	"StatefulSet": {"spec.replicas", "spec.ordinals", "spec.template", "spec.updateStrategy", "spec.revisionHistoryLimit",
		"spec.persistentVolumeClaimRetentionPolicy", "spec.minReadySeconds"},
	"Pod": {"spec.tolerations", "spec.activeDeadlineSeconds", "spec.terminationGracePeriodSeconds", "spec.schedulingGates"},
	"PersistentVolume": {"spec.capacity", "spec.accessModes", "spec.persistentVolumeReclaimPolicy", "spec.storageClassName", "spec.mountOptions",
		"spec.claimRef", "spec.volumeAttributesClassName"},
}

// defaults are what fields hold that nobody writes.
var defaults = map[string]any{
	"spec.podManagementPolicy": "OrderedReady", "spec.volumeMode": "Filesystem", "spec.completionMode": "NonIndexed", "spec.attachRequired": true,
	"spec.restartPolicy": "Always", "spec.dnsPolicy": "ClusterFirst", "spec.schedulerName": "default-scheduler",
	"type": "Opaque", "reclaimPolicy": "Delete", "volumeBindingMode": "Immediate", "preemptionPolicy": "PreemptLowerPriority",
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
	for _, path := range fixedFields(o, former) {
		was, is := former.field(path), o.field(path)
		switch {
		case reflect.DeepEqual(was, is):
		case o.kind == "Service" && (is == nil || is == ""): // it keeps the address
		case o.kind == "PersistentVolume" && was == nil: // another source has gone, or it is the nodes, which may be added
		case o.kind == "Pod" || path == "spec.template": // passwords may stand there
			r.found(o, "%s can't be changed, and differs", path)
		default:
			r.found(o, "%s was %s and is %s now", path, brief(was), brief(is))
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

// fixedFields are the paths of those that can't be changed, stars written out.
func fixedFields(o, former *object) (paths []string) {
	for _, path := range immutable[o.kind] {
		parent, isAll := strings.CutSuffix(path, ".*")
		if !isAll {
			paths = append(paths, path)
			continue
		}
		all := map[string]any{}
		for _, from := range []*object{o, former} {
			fields, _ := from.value[parent].(map[string]any)
			maps.Copy(all, fields)
		}
		for _, name := range sortedKeys(all) {
			if path := parent + "." + name; !slices.Contains(changeable[o.kind], path) {
				paths = append(paths, path)
			}
		}
	}
	return paths
}

// field is what a field holds, with the defaults that somebody may as well
// write.
func (o *object) field(path string) any {
	value, _, _ := unstructured.NestedFieldNoCopy(o.value, strings.Split(path, ".")...)
	switch {
	case value == nil:
		return defaults[path]
	case o.kind == "Pod" && (path == "spec.containers" || path == "spec.initContainers"):
		return changed(value, func(container map[string]any) { delete(container, "image") })
	case path == "spec.volumeClaimTemplates":
		return changed(value, func(claim map[string]any) {
			delete(claim, "apiVersion")
			delete(claim, "kind")
			if spec, is := claim["spec"].(map[string]any); is && spec["volumeMode"] == nil {
				spec = maps.Clone(spec)
				spec["volumeMode"] = defaults["spec.volumeMode"]
				claim["spec"] = spec
			}
		})
	}
	return value
}

// changed is a list with a change to copies of its entries.
func changed(list any, change func(map[string]any)) any {
	entries, _ := list.([]any)
	copies := make([]any, len(entries))
	for i, entry := range entries {
		fields, _ := entry.(map[string]any)
		fields = maps.Clone(fields)
		if fields != nil {
			change(fields)
		}
		copies[i] = fields
	}
	return copies
}

// size is how much a claim asks for.
func (o *object) size() resource.Quantity {
	written, _, _ := unstructured.NestedFieldNoCopy(o.value, "spec", "resources", "requests", "storage")
	text, _ := written.(string)
	size, _ := resource.ParseQuantity(text) // what is no quantity is the schemas' matter
	return size
}
