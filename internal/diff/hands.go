package diff

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// changedHands tells of data that stays where it is and that its pods can't
// use any more: they run as somebody else, or wait for a disk of another name.
func changedHands(o Object) (why []string) {
	volumes := volumePaths[(&unstructured.Unstructured{Object: o.Before}).GetKind()]
	if volumes == nil || o.After == nil {
		return nil
	}
	pod := volumes[:len(volumes)-1]
	is := containers(o.After, pod)
	given := givenAway(o.After, volumes)
	for name, was := range containers(o.Before, pod) {
		now, stays := is[name]
		if !stays {
			continue
		}
		if before, after := was.user(o.Before, pod), now.user(o.After, pod); before != after && before != "" && after != "" {
			for _, folder := range was.folders(o.Before, volumes) {
				if slices.Contains(given, folder) {
					continue
				}
				why = append(why, fmt.Sprintf("%s is used as %s now, and was as %s: the owner of what lies there doesn't change by itself", folder, after, before))
			}
		}
		if before, after := was.disk(), now.disk(); before != after && before != "" && after != "" {
			why = append(why, fmt.Sprintf("the disk %s is served now, and was %s: a disk of another name is another disk, and what lies on %[2]s isn't served any more", after, before))
		}
	}
	slices.Sort(why)
	return slices.Compact(why)
}

// givenAway are the folders that root prepares before anything else runs.
func givenAway(object map[string]any, volumes []string) (folders []string) {
	pod := volumes[:len(volumes)-1]
	entries, _, _ := unstructured.NestedSlice(object, append(slices.Clone(pod), "initContainers")...)
	for _, entry := range entries {
		c, _ := entry.(map[string]any)
		if user := container(c).user(object, pod); user == "0" || strings.HasPrefix(user, "0:") {
			folders = append(folders, container(c).folders(object, volumes)...)
		}
	}
	return folders
}

// container is one of a pod's, as Kubernetes writes it.
type container map[string]any

func containers(object map[string]any, pod []string) map[string]container {
	found := map[string]container{}
	for _, list := range []string{"initContainers", "containers"} {
		entries, _, _ := unstructured.NestedSlice(object, append(slices.Clone(pod), list)...)
		for _, entry := range entries {
			c, _ := entry.(map[string]any)
			name, _ := c["name"].(string)
			found[name] = c
		}
	}
	return found
}

// user is who a container runs as, such as 2000:2000; empty when that is the
// image's business.
func (c container) user(object map[string]any, pod []string) string {
	id := func(field string) string {
		value, has, _ := unstructured.NestedFieldNoCopy(c, "securityContext", field)
		if !has {
			value, has, _ = unstructured.NestedFieldNoCopy(object, append(slices.Clone(pod), "securityContext", field)...)
		}
		if n, is := asFloat(value); has && is {
			return fmt.Sprint(int64(n))
		}
		return ""
	}
	uid, gid := id("runAsUser"), id("runAsGroup")
	if uid == "" || gid == "" {
		return uid
	}
	return uid + ":" + gid
}

// folders are those of the board that a container writes, where Kubernetes
// leaves every owner alone.
func (c container) folders(object map[string]any, volumes []string) (found []string) {
	kept := places(object, volumes)
	mounts, _, _ := unstructured.NestedSlice(c, "volumeMounts")
	for _, entry := range mounts {
		mount, _ := entry.(map[string]any)
		name, _ := mount["name"].(string)
		if place := kept[name]; mount["readOnly"] != true && strings.HasPrefix(place, "the folder ") {
			found = append(found, place)
		}
	}
	return found
}

// disk is what the gate of homecloud-agent lets a daemon run on; empty for a
// container without one.
func (c container) disk() string {
	command, _, _ := unstructured.NestedStringSlice(c, "command")
	if len(command) < 2 || path.Base(command[0]) != "homecloud-agent" || command[1] != "gate" {
		return ""
	}
	for _, argument := range command {
		if name, is := strings.CutPrefix(argument, "--disk="); is {
			return name
		}
	}
	return ""
}
