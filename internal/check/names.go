package check

import (
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/validate/content"
	"k8s.io/apimachinery/pkg/util/validation"
)

// groups are the API groups of the kinds that rules know; those of other kinds
// are in the core group, which has no name.
var groups = map[string]string{
	"Deployment": "apps", "DaemonSet": "apps", "StatefulSet": "apps", "ReplicaSet": "apps", "Job": "batch", "CronJob": "batch",
	"Ingress": "networking.k8s.io", "IngressClass": "networking.k8s.io", "NetworkPolicy": "networking.k8s.io",
	"Role": "rbac.authorization.k8s.io", "RoleBinding": "rbac.authorization.k8s.io",
	"ClusterRole": "rbac.authorization.k8s.io", "ClusterRoleBinding": "rbac.authorization.k8s.io",
	"PodDisruptionBudget": "policy", "HorizontalPodAutoscaler": "autoscaling", "PriorityClass": "scheduling.k8s.io",
	"StorageClass": "storage.k8s.io", "CSIDriver": "storage.k8s.io", "RuntimeClass": "node.k8s.io",
	"CustomResourceDefinition": "apiextensions.k8s.io",
}

// is says whether an object is of one of Kubernetes' own kinds: others give
// their kinds the same names.
func (o *object) is(kinds ...string) bool {
	return slices.Contains(kinds, o.kind) && groupOf(o.apiVersion) == groups[o.kind]
}

// groupOf is apps of apps/v1, and nothing of v1.
func groupOf(apiVersion string) string {
	group, _, has := strings.Cut(apiVersion, "/")
	if !has {
		return ""
	}
	return group
}

// nameProblems says what Kubernetes has against an object's name, by what each
// kind's names become: labels of DNS names, or names in a path only.
func (o *object) nameProblems() []string {
	switch {
	case o.is("Service"):
		return validation.IsDNS1035Label(o.name)
	case o.is("Namespace"):
		return validation.IsDNS1123Label(o.name)
	case o.is("Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"):
		return content.IsPathSegmentName(o.name)
	case o.is("CronJob") && len(o.name) > 52: // its Jobs add eleven characters
		return []string{"must be no more than 52 characters"}
	case o.is("StatefulSet", "Job") && len(o.name) > 63: // their pods carry the name as a label
		return []string{"must be no more than 63 characters"}
	}
	return validation.IsDNS1123Subdomain(o.name)
}
