package diff

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// volumePaths is where a workload keeps the volumes of its pods.
var volumePaths = map[string][]string{
	"Deployment": {"spec", "template", "spec", "volumes"}, "DaemonSet": {"spec", "template", "spec", "volumes"},
	"StatefulSet": {"spec", "template", "spec", "volumes"}, "ReplicaSet": {"spec", "template", "spec", "volumes"},
	"Job": {"spec", "template", "spec", "volumes"}, "CronJob": {"spec", "jobTemplate", "spec", "template", "spec", "volumes"}, "Pod": {"spec", "volumes"},
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
	templates, _, _ := unstructured.NestedSlice(object, "spec", "volumeClaimTemplates")
	for _, entry := range templates {
		template, _ := entry.(map[string]any)
		name, _, _ := unstructured.NestedString(template, "metadata", "name")
		found[name] = "its own claim " + name
	}
	for _, entry := range volumes {
		volume, _ := entry.(map[string]any)
		name, _ := volume["name"].(string)
		for kind, source := range volume {
			if source, is := source.(map[string]any); is {
				if place := place(kind, source); place != "" {
					found[name] = place
				}
			}
		}
	}
	return found
}

// fleeting are the kinds of volumes, and drivers, whose volumes live with their
// pod, or show what is kept elsewhere.
var fleeting = []string{"emptyDir", "ephemeral", "configMap", "secret", "downwardAPI", "projected", "image", "gitRepo", "secrets-store.csi.k8s.io", "csi.cert-manager.io"}

// place says where a volume keeps data; empty: it doesn't.
func place(kind string, source map[string]any) string {
	text := func(field string) string { return fmt.Sprint(source[field]) }
	switch {
	case slices.Contains(fleeting, kind), slices.Contains(fleeting, text("driver")), kind == "hostPath" && passing.MatchString(text("path")):
		return ""
	case kind == "persistentVolumeClaim":
		return "the claim " + text("claimName")
	case kind == "hostPath":
		return "the folder " + text("path")
	case kind == "nfs":
		return "the export " + text("server") + ":" + text("path")
	}
	source = maps.Clone(source)
	maps.DeleteFunc(source, func(field string, _ any) bool { return field == "readOnly" || strings.HasSuffix(field, "Ref") })
	where, _ := json.Marshal(source) // was read from JSON
	return fmt.Sprintf("the %s volume %s", kind, where)
}

// remounted tells of folders of volumes that stay: a container has another one
// in the place of it, or none has it any more.
func remounted(o Object) (why []string) {
	path := volumePaths[(&unstructured.Unstructured{Object: o.Before}).GetKind()]
	if path == nil || o.After == nil {
		return nil
	}
	stay := places(o.After, path)
	is := mounts(o.After, path)
	for at, was := range mounts(o.Before, path) {
		switch now, has := is[at]; {
		case !was.keeps() || !hasPlace(stay, was.place): // or moved tells
		case has && now != was:
			why = append(why, fmt.Sprintf("%s has %s at %s now, and had %s: what lies there isn't moved", at.container, now, at.path, was))
		case !has && !slices.Contains(slices.Collect(maps.Values(is)), was):
			why = append(why, fmt.Sprintf("%s is no longer used: what lies there stays, but isn't served", was))
		}
	}
	slices.Sort(why)
	return why
}

// mountPoint is where a container has a volume.
type mountPoint struct{ container, path string }

// mount is what it has there.
type mount struct{ place, folder string }

func (m mount) keeps() bool { return m.place != "" }

func (m mount) String() string {
	switch {
	case !m.keeps():
		return "nothing that is kept"
	case m.folder == "":
		return m.place
	}
	return m.folder + " of " + m.place
}

func mounts(object map[string]any, volumes []string) map[mountPoint]mount {
	kept := places(object, volumes)
	found := map[mountPoint]mount{}
	for name, c := range containers(object, volumes[:len(volumes)-1]) {
		entries, _, _ := unstructured.NestedSlice(c, "volumeMounts")
		for _, entry := range entries {
			at, _ := entry.(map[string]any)
			text := func(field string) string { text, _ := at[field].(string); return text }
			found[mountPoint{name, text("mountPath")}] = mount{}
			if place := kept[text("name")]; place != "" {
				found[mountPoint{name, text("mountPath")}] = mount{place, cmp.Or(text("subPath"), text("subPathExpr"))}
			}
		}
	}
	return found
}
