package chart

import (
	"bytes"
	"cmp"
	"fmt"
	"reflect"
	"slices"

	"helm.sh/helm/v3/pkg/kube"
	"helm.sh/helm/v3/pkg/release"
	"helm.sh/helm/v3/pkg/releaseutil"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/cli-runtime/pkg/resource"
	"sigs.k8s.io/yaml"
)

// Change is an object that a release creates, updates or deletes.
type Change struct {
	Verb   string // create, update or delete
	Object string // "DaemonSet homecloud-dnas-syncthing"
}

// compare lists what differs between two manifests, by what the objects say
// and not by how they are written.
func compare(before, after string) ([]Change, error) {
	old, err := objects(before)
	if err != nil {
		return nil, err
	}
	new, err := objects(after)
	if err != nil {
		return nil, err
	}
	var changes []Change
	for name, object := range new {
		switch former, ok := old[name]; {
		case !ok:
			changes = append(changes, Change{"create", name.text})
		case !reflect.DeepEqual(former, object):
			changes = append(changes, Change{"update", name.text})
		}
	}
	for name := range old {
		if _, ok := new[name]; !ok {
			changes = append(changes, Change{"delete", name.text})
		}
	}
	slices.SortFunc(changes, func(a, b Change) int {
		return cmp.Or(cmp.Compare(a.Verb, b.Verb), cmp.Compare(a.Object, b.Object))
	})
	return changes, nil
}

// identity tells objects of a manifest apart.
type identity struct{ apiVersion, namespace, text string }

func objects(manifest string) (map[identity]map[string]any, error) {
	found := map[identity]map[string]any{}
	for _, document := range SplitManifest("", manifest) {
		object := map[string]any{}
		if err := yaml.Unmarshal([]byte(document.Text), &object); err != nil {
			return nil, fmt.Errorf("manifest: %w", err)
		}
		if len(object) == 0 {
			continue
		}
		metadata, _ := object["metadata"].(map[string]any)
		found[identity{
			apiVersion: fmt.Sprint(object["apiVersion"]),
			namespace:  fmt.Sprint(metadata["namespace"]),
			text:       fmt.Sprintf("%v %v", object["kind"], metadata["name"]),
		}] = object
	}
	return found, nil
}

// deleted names an object of the manifest that isn't in the cluster any more,
// or nothing.
func (r *Releases) deleted(manifest string) (string, error) {
	list, err := r.config.KubeClient.Build(bytes.NewBufferString(manifest), false)
	if err != nil {
		return "", fmt.Errorf("look up the release's objects: %w", err)
	}
	for _, info := range list {
		err := info.Get()
		switch {
		case apierrors.IsNotFound(err):
			return fmt.Sprintf("%s %s was deleted from outside", info.Mapping.GroupVersionKind.Kind, info.Name), nil
		case err != nil:
			return "", fmt.Errorf("look up the release's objects: %w", err)
		}
	}
	return "", nil
}

// leftovers are the manifests of revisions that failed after the last deployed
// one: Helm forgets what only they brought.
func (r *Releases) leftovers(name string) ([]string, error) {
	history, err := r.config.Releases.History(name)
	if err != nil {
		return nil, fmt.Errorf("release %s: %w", name, err)
	}
	releaseutil.Reverse(history, releaseutil.SortByRevision)
	var manifests []string
	for _, revision := range history {
		if revision.Info.Status != release.StatusFailed {
			break
		}
		manifests = append(manifests, revision.Manifest)
	}
	return manifests, nil
}

// kept are the kinds that hold data or belong to more than one release.
var kept = []string{"PersistentVolumeClaim", "PersistentVolume", "Secret", "Namespace", "CustomResourceDefinition"}

// deleteLeftovers deletes the objects of manifests that the release has no
// more, where they are the release's own and may go.
func (r *Releases) deleteLeftovers(name string, manifests []string, now string) error {
	wanted, err := r.config.KubeClient.Build(bytes.NewBufferString(now), false)
	if err != nil {
		return fmt.Errorf("release %s: %w", name, err)
	}
	for _, manifest := range manifests {
		old, err := r.config.KubeClient.Build(bytes.NewBufferString(manifest), false)
		if err != nil {
			continue // a revision that failed because the cluster doesn't know its kinds made nothing
		}
		var surplus kube.ResourceList
		for _, info := range old.Difference(wanted) {
			if !slices.Contains(kept, info.Mapping.GroupVersionKind.Kind) && r.owns(name, info) {
				surplus = append(surplus, info)
			}
		}
		if len(surplus) == 0 {
			continue
		}
		if _, errs := r.config.KubeClient.Delete(surplus); len(errs) > 0 {
			return fmt.Errorf("release %s: delete what a failed revision left: %w", name, errs[0])
		}
	}
	return nil
}

// owns says whether the live object is there, carries Helm's marks of this
// release and may be deleted.
func (r *Releases) owns(name string, info *resource.Info) bool {
	if err := info.Get(); err != nil {
		return false
	}
	object, err := meta.Accessor(info.Object)
	if err != nil {
		return false
	}
	marks := object.GetAnnotations()
	return marks["meta.helm.sh/release-name"] == name &&
		marks["meta.helm.sh/release-namespace"] == r.namespace &&
		marks[kube.ResourcePolicyAnno] != kube.KeepPolicy
}
