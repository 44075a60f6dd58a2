package diff

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
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
}

// effect says what a change means.
func effect(c Change, o Object) (Effect, []string) {
	if o.Refused != "" {
		return Data, []string{"Kubernetes doesn't change it in place (" + o.Refused + "); it would have to be deleted and made again"}
	}
	switch c.Verb {
	case "delete":
		if why := holders[c.Kind]; why != "" {
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
	case "StatefulSet":
		for _, f := range c.Fields {
			if strings.HasPrefix(f.Path, "spec.volumeClaimTemplates") {
				why = append(why, f.Path+": existing volumes stay as they are, new ones differ")
			}
		}
	case "Secret":
		for _, f := range c.Fields {
			if (strings.HasPrefix(f.Path, "data") || strings.HasPrefix(f.Path, "stringData")) && f.After == nil {
				why = append(why, f.Path+": what is in it can't be made again")
			}
		}
	}
	return slices.Concat(why, moved(o), changedHands(o))
}

func smaller(f Field) bool {
	was, err := resource.ParseQuantity(fmt.Sprint(f.Before))
	is, wrong := resource.ParseQuantity(fmt.Sprint(f.After))
	return err != nil || wrong != nil || is.Cmp(was) < 0
}

// volumePaths is where a workload keeps the volumes of its pods.
var volumePaths = map[string][]string{
	"Deployment": {"spec", "template", "spec", "volumes"}, "DaemonSet": {"spec", "template", "spec", "volumes"},
	"StatefulSet": {"spec", "template", "spec", "volumes"}, "ReplicaSet": {"spec", "template", "spec", "volumes"},
	"CronJob": {"spec", "jobTemplate", "spec", "template", "spec", "volumes"},
}

// passing are folders of the host that nobody keeps data in.
var passing = regexp.MustCompile(`^/(run|dev|sys|proc|var/run|tmp)(/|$)`)

// moved tells of volumes that a workload looks for elsewhere, or no more: the
// data stays where it was, but isn't there for the pods.
func moved(o Object) (why []string) {
	path := volumePaths[(&unstructured.Unstructured{Object: o.Before}).GetKind()]
	if path == nil || o.After == nil {
		return nil
	}
	is := places(o.After, path)
	for name, place := range places(o.Before, path) {
		switch now, has := is[name]; {
		case has && now != place:
			why = append(why, fmt.Sprintf("the volume %s is %s now, and was %s: what lies there isn't moved", name, now, place))
		case !has && !hasPlace(is, place):
			why = append(why, fmt.Sprintf("%s is no longer used: what lies there stays, but isn't served", place))
		}
	}
	slices.Sort(why)
	return why
}

func hasPlace(volumes map[string]string, place string) bool {
	for _, other := range volumes {
		if other == place {
			return true
		}
	}
	return false
}

// places are where the volumes that keep data are, by name.
func places(object map[string]any, path []string) map[string]string {
	volumes, _, _ := unstructured.NestedSlice(object, path...)
	found := map[string]string{}
	for _, entry := range volumes {
		volume, _ := entry.(map[string]any)
		name, _ := volume["name"].(string)
		if claim, has, _ := unstructured.NestedString(volume, "persistentVolumeClaim", "claimName"); has {
			found[name] = "the claim " + claim
		}
		if host, has, _ := unstructured.NestedString(volume, "hostPath", "path"); has && !passing.MatchString(host) {
			found[name] = "the folder " + host
		}
		if server, has, _ := unstructured.NestedString(volume, "nfs", "server"); has {
			export, _, _ := unstructured.NestedString(volume, "nfs", "path")
			found[name] = "the export " + server + ":" + export
		}
	}
	return found
}
