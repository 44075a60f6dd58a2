// Package immutable knows which fields of Kubernetes' own kinds can't be changed
// once an object is there. It knows no objects.
package immutable

// fields are by kind. Source: the validation of updates in Kubernetes
// (pkg/apis/*/validation).
var fields = map[string][]string{
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

// Fields are those of a kind, dotted, such as spec.selector. A Service's address
// that is left out stays as it is.
func Fields(kind string) []string { return fields[kind] }
