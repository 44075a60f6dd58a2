// Package immutable knows which fields of Kubernetes' own kinds can't be changed
// once an object is there.
package immutable

import (
	"maps"
	"reflect"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// fixed are the fields that can't be changed once an object is there; a star
// stands for all fields but those that are changeable.
// Source: the validation of updates in Kubernetes (pkg/apis/*/validation).
var fixed = map[string][]string{
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

// Change is a field that changes and can't.
type Change struct {
	Path    string // dotted, such as spec.selector
	Was, Is any
}

// Changes are those between two versions of an object of one of Kubernetes' own
// kinds. A default that somebody writes is no change, nor is a Service's address
// that is left out.
func Changes(kind string, before, after map[string]any) (changes []Change) {
	for _, path := range fields(kind, before, after) {
		was, is := held(kind, path, before), held(kind, path, after)
		switch {
		case reflect.DeepEqual(was, is):
		case kind == "Service" && (is == nil || is == ""): // it keeps the address
		case kind == "PersistentVolume" && was == nil: // another source has gone, or it is the nodes, which may be added
		default:
			changes = append(changes, Change{path, was, is})
		}
	}
	return changes
}

// fields are the paths of those that can't be changed, stars written out.
func fields(kind string, before, after map[string]any) (paths []string) {
	for _, path := range fixed[kind] {
		parent, isAll := strings.CutSuffix(path, ".*")
		if !isAll {
			paths = append(paths, path)
			continue
		}
		all := map[string]any{}
		for _, from := range []map[string]any{before, after} {
			found, _ := from[parent].(map[string]any)
			maps.Copy(all, found)
		}
		for _, name := range slices.Sorted(maps.Keys(all)) {
			if path := parent + "." + name; !slices.Contains(changeable[kind], path) {
				paths = append(paths, path)
			}
		}
	}
	return paths
}

// held is what a field holds, with the defaults that somebody may as well
// write.
func held(kind, path string, object map[string]any) any {
	value, _, _ := unstructured.NestedFieldNoCopy(object, strings.Split(path, ".")...)
	switch {
	case value == nil:
		return defaults[path]
	case kind == "Pod" && (path == "spec.containers" || path == "spec.initContainers"):
		return altered(value, func(container map[string]any) { delete(container, "image") })
	case path == "spec.volumeClaimTemplates":
		return altered(value, func(claim map[string]any) {
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

// altered is a list with a change to copies of its entries.
func altered(list any, change func(map[string]any)) any {
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
