package chart

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"helm.sh/helm/v3/pkg/kube"
	"helm.sh/helm/v3/pkg/release"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/jsonmergepatch"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
	"k8s.io/cli-runtime/pkg/resource"
)

// Foreseen is an object of a release as it is in the cluster, and as Apply would
// leave it; nil: it isn't there.
type Foreseen struct {
	Before, After map[string]any
	Refused       string // by the API server, which says why; After is Before then
}

// Foresee asks the API server, without changing anything, what Apply would make
// of each object: what was changed by hand shows, too. Without a chart, what
// Uninstall would take away. Hooks are left out: they are made anew each time.
func (r *Releases) Foresee(ctx context.Context, wanted Release) ([]Foreseen, error) {
	last, err := r.last(wanted.Name)
	if err != nil {
		return nil, err
	}
	var now, old kube.ResourceList
	if wanted.Chart != nil {
		rendered, err := r.render(wanted, last != nil)
		if err != nil {
			return nil, err
		}
		if now, err = r.config.KubeClient.Build(bytes.NewBufferString(rendered.Manifest), false); err != nil {
			return nil, fmt.Errorf("release %s: %w", wanted.Name, err)
		}
	}
	if last != nil {
		if last.Info.Status != release.StatusDeployed {
			if deployed, err := r.config.Releases.Deployed(wanted.Name); err == nil {
				last = deployed
			}
		}
		if old, err = r.config.KubeClient.Build(bytes.NewBufferString(last.Manifest), false); err != nil {
			return nil, fmt.Errorf("release %s: what is installed: %w", wanted.Name, err)
		}
	}
	var foreseen []Foreseen
	for _, info := range now {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		f, err := foresee(info, old.Get(info))
		if err != nil {
			return nil, fmt.Errorf("%s %s: %w", info.Mapping.GroupVersionKind.Kind, info.Name, err)
		}
		foreseen = append(foreseen, f)
	}
	for _, info := range old.Difference(now) {
		live, err := resource.NewHelper(info.Client, info.Mapping).Get(info.Namespace, info.Name)
		if apierrors.IsNotFound(err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		before, err := asMap(live)
		if err != nil {
			return nil, err
		}
		foreseen = append(foreseen, Foreseen{Before: before})
	}
	return foreseen, nil
}

func foresee(target, former *resource.Info) (Foreseen, error) {
	helper := resource.NewHelper(target.Client, target.Mapping).DryRun(true).WithFieldManager(kube.ManagedFieldsManager)
	live, err := helper.Get(target.Namespace, target.Name)
	if apierrors.IsNotFound(err) {
		made, err := helper.Create(target.Namespace, true, target.Object)
		if apierrors.IsNotFound(err) { // nor is its namespace
			made, err = target.Object, nil
		}
		if err != nil {
			return Foreseen{}, err
		}
		after, err := asMap(made)
		return Foreseen{After: after}, err
	}
	if err != nil {
		return Foreseen{}, err
	}
	before, err := asMap(live)
	if err != nil {
		return Foreseen{}, err
	}
	original := target.Object // not of this release yet: nothing of it is removed
	if former != nil {
		original = former.Object
	}
	kind, patch, err := threeWay(target, original, live)
	if err != nil {
		return Foreseen{}, err
	}
	patched, err := helper.Patch(target.Namespace, target.Name, kind, patch, nil)
	if apierrors.IsInvalid(err) {
		return Foreseen{Before: before, After: before, Refused: reason(err)}, nil
	}
	if err != nil {
		return Foreseen{}, err
	}
	after, err := asMap(patched)
	return Foreseen{Before: before, After: after}, err
}

// threeWay is the patch that Helm sends: what changed in the chart, put on top of
// what is there. Its own function isn't exported (pkg/kube, createPatch).
func threeWay(target *resource.Info, original, live runtime.Object) (types.PatchType, []byte, error) {
	var texts [3][]byte
	for i, object := range []runtime.Object{original, target.Object, live} {
		var err error
		if texts[i], err = json.Marshal(object); err != nil {
			return "", nil, err
		}
	}
	versioned := kube.AsVersioned(target)
	if _, unknown := versioned.(runtime.Unstructured); unknown {
		patch, err := jsonmergepatch.CreateThreeWayJSONMergePatch(texts[0], texts[1], texts[2])
		return types.MergePatchType, patch, err
	}
	meta, err := strategicpatch.NewPatchMetaFromStruct(versioned)
	if err != nil {
		return "", nil, err
	}
	patch, err := strategicpatch.CreateThreeWayMergePatch(texts[0], texts[1], texts[2], meta, true)
	return types.StrategicMergePatchType, patch, err
}

func asMap(object runtime.Object) (map[string]any, error) {
	if u, is := object.(*unstructured.Unstructured); is {
		return u.Object, nil
	}
	return runtime.DefaultUnstructuredConverter.ToUnstructured(object)
}

// reason is what an API server says of a refusal, without the object's name.
func reason(err error) string {
	var status apierrors.APIStatus
	if errors.As(err, &status) && status.Status().Details != nil && len(status.Status().Details.Causes) > 0 {
		cause := status.Status().Details.Causes[0]
		return cause.Field + ": " + cause.Message
	}
	return err.Error()
}
