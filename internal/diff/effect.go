package diff

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/tmorin/homecloud/internal/immutable"
)

// workloads run pods, and are where a change of their template restarts them.
var workloads = []string{"Deployment", "DaemonSet", "StatefulSet", "ReplicaSet", "Pod"}

// holders hold data, or what can't be made again: why their deletion loses it.
var holders = map[string]string{
	"PersistentVolumeClaim":    "what the volume holds goes with the claim, unless its volume is retained",
	"PersistentVolume":         "what it holds may not be found again",
	"Namespace":                "everything in it goes",
	"CustomResourceDefinition": "every object of this kind goes, in all namespaces",
	"Secret":                   "passwords and keys in it can't be made again",
	"StorageClass":             "volumes can't be made or grown by it any more",
	"VolumeSnapshot":           "the snapshot goes",
	"VolumeSnapshotContent":    "the snapshot goes",

	"Volume.longhorn.io": "what the volume holds goes", "Snapshot.longhorn.io": "the snapshot goes", "BackingImage.longhorn.io": "what the image holds goes",
	"Backup.longhorn.io": "the backup goes", "BackupVolume.longhorn.io": "the backups of the volume go", "BackupBackingImage.longhorn.io": "the backup goes",
	"CephCluster.ceph.rook.io": itsData, "CephBlockPool.ceph.rook.io": itsData, "CephFilesystem.ceph.rook.io": itsData, "CephObjectStore.ceph.rook.io": itsData,
	"ObjectBucketClaim.objectbucket.io": itsData, "BucketClaim.objectstorage.k8s.io": itsData, "Bucket.objectstorage.k8s.io": itsData, "Tenant.minio.min.io": itsData,
	"LogicalVolume.topolvm.io": itsData, "LVMVolume.local.openebs.io": itsData, "ZFSVolume.zfs.openebs.io": itsData,
	"DataVolume.cdi.kubevirt.io": itsData, "VirtualMachine.kubevirt.io": itsData,
	"Cluster.postgresql.cnpg.io": itsData, "Database.postgresql.cnpg.io": itsData, "postgresql.acid.zalan.do": itsData, "MariaDB.k8s.mariadb.com": itsData,
	"Database.k8s.mariadb.com": itsData, "MongoDBCommunity.mongodbcommunity.mongodb.com": itsData, "Kafka.kafka.strimzi.io": itsData, "KafkaTopic.kafka.strimzi.io": itsData,
}

const itsData = "what it holds goes with it, unless its operator was told otherwise"

// held says what goes with an object; empty: no data.
func held(object map[string]any) string {
	u := unstructured.Unstructured{Object: object}
	if u.GetKind() == "StatefulSet" && retention(object, "whenDeleted") == "Delete" {
		return "its volumes go with it"
	}
	return cmp.Or(holders[u.GetKind()], holders[u.GetKind()+"."+u.GroupVersionKind().Group])
}

// effect says what a change means.
func effect(c Change, o Object) (Effect, []string) {
	if o.Refused != "" {
		return Data, []string{"Kubernetes doesn't change it in place (" + o.Refused + "); it would have to be deleted and made again"}
	}
	switch c.Verb {
	case "delete":
		if why := held(o.Before); why != "" {
			return Data, []string{why}
		}
		if slices.Contains(workloads, c.Kind) {
			return Restarts, nil
		}
	case "update":
		if why := losses(c, o); why != nil {
			return Data, why
		}
		if restarts(c) {
			return Restarts, nil
		}
	}
	return Harmless, nil
}

// restarts says whether pods are replaced, or there are fewer of them.
func restarts(c Change) bool {
	if !slices.Contains(workloads, c.Kind) {
		return false
	}
	return slices.ContainsFunc(c.Fields, func(f Field) bool {
		if c.Kind == "Pod" || strings.HasPrefix(f.Path, "spec.template.") {
			return true
		}
		was, _ := asFloat(f.Before)
		is, _ := asFloat(f.After)
		return f.Path == "spec.replicas" && is < was
	})
}

// losses says what a change does to data; nil: nothing.
func losses(c Change, o Object) (why []string) {
	if fixed := changedImmutables(c.Kind, o); fixed != nil && c.Kind != "PersistentVolumeClaim" { // which has words of its own
		why = append(why, "Kubernetes doesn't change it in place ("+strings.Join(fixed, ", ")+"); it would have to be deleted and made again")
	}
	if held(o.Before) != "" && kept(o.Before) && !kept(o.After) {
		why = append(why, "it is no longer kept: from now on it goes with its release")
	}
	switch c.Kind {
	case "PersistentVolumeClaim":
		for _, f := range c.Fields {
			switch {
			case f.Path == "spec.resources.requests.storage" && !smaller(f):
			case strings.HasPrefix(f.Path, "spec."):
				why = append(why, fmt.Sprintf("%s: the volume would be another one, or is refused", f.Path))
			}
		}
	case "PersistentVolume":
		for _, f := range c.Fields {
			if f.Path == "spec.persistentVolumeReclaimPolicy" && f.Before == "Retain" {
				why = append(why, "what it holds is deleted with its claim from now on")
			} else if strings.HasPrefix(f.Path, "spec.") && f.Path != "spec.capacity.storage" {
				why = append(why, fmt.Sprintf("%s: it would be another place", f.Path))
			}
		}
	case "StorageClass":
		if o.Before["reclaimPolicy"] == "Retain" && o.After["reclaimPolicy"] != "Retain" {
			why = append(why, "what its new volumes hold is deleted with their claims")
		}
	case "StatefulSet":
		why = append(why, claims(o)...)
	case "CustomResourceDefinition":
		why = append(why, definition(c)...)
	case "Secret":
		for _, f := range c.Fields {
			if (strings.HasPrefix(f.Path, "data") || strings.HasPrefix(f.Path, "stringData")) && f.After == nil {
				why = append(why, f.Path+": what is in it can't be made again")
			}
		}
	}
	return slices.Concat(why, moved(o), remounted(o), changedHands(o))
}

// changedImmutables are the fields that change and can't. Helm deletes hooks
// first.
func changedImmutables(kind string, o Object) (changed []string) {
	if _, isHook := (&unstructured.Unstructured{Object: o.After}).GetAnnotations()["helm.sh/hook"]; isHook {
		return nil
	}
	for _, c := range immutable.Changes(kind, o.Before, o.After) {
		changed = append(changed, c.Path)
	}
	return changed
}

// kept says whether Helm leaves an object behind.
func kept(object map[string]any) bool {
	return (&unstructured.Unstructured{Object: object}).GetAnnotations()["helm.sh/resource-policy"] == "keep"
}

// claims says what a change does to the volumes that a StatefulSet makes.
func claims(o Object) (why []string) {
	for _, when := range [][2]string{{"whenDeleted", "deleted"}, {"whenScaled", "scaled down"}} {
		if retention(o.Before, when[0]) != "Delete" && retention(o.After, when[0]) == "Delete" {
			why = append(why, "its volumes go when it is "+when[1]+", from now on")
		}
	}
	if was, is := replicas(o.Before), replicas(o.After); is < was && retention(o.After, "whenScaled") == "Delete" {
		why = append(why, fmt.Sprintf("the volumes of the pods that go, %v of %v, are deleted", was-is, was))
	}
	return why
}

func retention(set map[string]any, when string) string {
	policy, _, _ := unstructured.NestedString(set, "spec", "persistentVolumeClaimRetentionPolicy", when)
	return policy
}

func replicas(set map[string]any) float64 {
	value, _, _ := unstructured.NestedFieldNoCopy(set, "spec", "replicas")
	if n, is := asFloat(value); is {
		return n
	}
	return 1
}

var (
	definedVersion  = regexp.MustCompile(`^spec\.versions(\[name=[^\]]*\])?$`)
	definedProperty = regexp.MustCompile(`openAPIV3Schema(\..*)?\.properties(\.[^.\]]+|\["[^"]*"\])?$`)
)

// definition says what objects of a kind lose.
func definition(c Change) (why []string) {
	for _, f := range c.Fields {
		switch {
		case f.After != nil:
		case definedVersion.MatchString(f.Path):
			why = append(why, f.Path+": objects that are stored in this version can't be read any more")
		case definedProperty.MatchString(f.Path), strings.Contains(f.Path, "openAPIV3Schema") && holdsProperties(f.Before):
			why = append(why, f.Path+": what objects have in it is dropped when they are written")
		}
	}
	return why
}

func holdsProperties(schema any) bool {
	fields, _ := schema.(map[string]any)
	for key, value := range fields {
		if key == "properties" || holdsProperties(value) {
			return true
		}
	}
	return false
}

func smaller(f Field) bool {
	was, err := resource.ParseQuantity(fmt.Sprint(f.Before))
	is, wrong := resource.ParseQuantity(fmt.Sprint(f.After))
	return err != nil || wrong != nil || is.Cmp(was) < 0
}
