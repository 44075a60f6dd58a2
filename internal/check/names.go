package check

import (
	"slices"

	"k8s.io/apimachinery/pkg/api/validate/content"
	"k8s.io/apimachinery/pkg/util/validation"
)

// nameProblems says what Kubernetes has against a name, by what each kind's
// names become: labels of DNS names, or names in a path only.
func nameProblems(kind, name string) []string {
	switch {
	case kind == "Service":
		return validation.IsDNS1035Label(name)
	case kind == "Namespace":
		return validation.IsDNS1123Label(name)
	case slices.Contains([]string{"Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"}, kind):
		return content.IsPathSegmentName(name)
	case kind == "StatefulSet" || kind == "CronJob" || kind == "Job":
		// Pods are named after it, and carry its name as a label.
		if len(name) > 63 {
			return []string{"must be no more than 63 characters"}
		}
	}
	return validation.IsDNS1123Subdomain(name)
}
