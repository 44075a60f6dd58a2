package kube

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/yaml"
)

// Workload is an object that runs pods.
type Workload struct{ Kind, Namespace, Name string }

// String is "DaemonSet homecloud-dnas-syncthing".
func (w Workload) String() string { return w.Kind + " " + w.Name }

var workloadKinds = []string{"DaemonSet", "Deployment", "Job", "StatefulSet"}

// Workloads lists what runs pods in a manifest whose objects live in the
// namespace unless they say another.
func Workloads(manifest, namespace string) ([]Workload, error) {
	var found []Workload
	decoder := yaml.NewYAMLOrJSONDecoder(strings.NewReader(manifest), 4096)
	for {
		var object metav1.PartialObjectMetadata
		err := decoder.Decode(&object)
		if errors.Is(err, io.EOF) {
			return found, nil
		}
		if err != nil {
			return nil, fmt.Errorf("manifest: %w", err)
		}
		if !slices.Contains(workloadKinds, object.Kind) {
			continue
		}
		w := Workload{Kind: object.Kind, Namespace: object.Namespace, Name: object.Name}
		if w.Namespace == "" {
			w.Namespace = namespace
		}
		found = append(found, w)
	}
}

// pollEvery is how often the cluster is asked while waiting.
const pollEvery = time.Second

// pullPatience is how long an image may fail to be pulled: a registry that was
// away is asked again in that time, a reference that is wrong stays so.
const pullPatience = 2 * time.Minute

// diskPatience is how long a board may lack its disk when nothing else is left
// to wait for: gates notice a disk within seconds, people don't.
const diskPatience = time.Minute

// Wait waits until every workload runs its newest form completely: all pods
// replaced and available, Jobs complete. Where that fails, can't come true for
// want of an image or a disk, or lasts longer than the timeout, the error says which pods, containers, events and log lines are
// the reason. It tells what it waits for, and returns the one that was last.
func (c *Cluster) Wait(ctx context.Context, workloads []Workload, timeout time.Duration, tell func(string)) (slowest string, err error) {
	deadline := time.Now().Add(timeout)
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	var unpulled time.Time // since when an image can't be pulled
	var diskless time.Time // since when nothing but disks is waited for
	for {
		var open []rollout
		var failed error
		for _, w := range workloads {
			r, err := c.rollout(ctx, w)
			if ctx.Err() != nil {
				return "", ctx.Err()
			}
			if err != nil {
				failed = err
				break
			}
			if r.failed {
				return "", fmt.Errorf("%s failed\n%s", w, c.diagnose(ctx, []rollout{r}))
			}
			if !r.done {
				open = append(open, r)
			}
		}
		switch {
		case apierrors.IsNotFound(failed):
			return "", fmt.Errorf("%w: it was deleted from outside; run the command again", failed)
		case failed != nil:
			tell(fmt.Sprintf("the cluster doesn't answer: %v", failed))
		case len(open) == 0:
			return slowest, nil
		default:
			slowest = open[len(open)-1].String()
			lack, only := c.lackDisk(ctx, open)
			switch {
			case !only:
				diskless = time.Time{}
				tell(c.summary(ctx, open))
			case diskless.IsZero():
				diskless = time.Now()
				fallthrough
			default:
				waited := time.Since(diskless)
				if waited >= diskPatience {
					return "", lack
				}
				tell(fmt.Sprintf("%s; for %s more", c.summary(ctx, open), (diskPatience - waited).Round(time.Second)))
			}
			switch {
			case !c.lacksImage(ctx, open):
				unpulled = time.Time{}
			case unpulled.IsZero():
				unpulled = time.Now()
			case time.Since(unpulled) >= pullPatience:
				return "", fmt.Errorf("not usable: for %s an image couldn't be pulled; a values file that was given with --values before has to be given again\n%s",
					pullPatience, c.diagnose(ctx, open))
			}
		}
		if time.Now().After(deadline) {
			if failed != nil {
				return "", fmt.Errorf("the cluster doesn't answer: %w", failed)
			}
			return "", fmt.Errorf("not usable after %s\n%s", timeout, c.diagnose(ctx, open))
		}
		select {
		case <-ctx.Done():
			return "", ctx.Err()
		case <-tick.C:
		}
	}
}

// rollout is how far a workload is.
type rollout struct {
	Workload
	ready, wanted int
	observed      bool // the numbers are those of the newest form
	updated       bool // no pod of a former form is left
	done, failed  bool
	selector      *metav1.LabelSelector
}

func (r rollout) progress() string {
	return fmt.Sprintf("%s: %d of %d ready", r.Workload, r.ready, r.wanted)
}

func (c *Cluster) rollout(ctx context.Context, w Workload) (rollout, error) {
	switch w.Kind {
	case "DaemonSet":
		o, err := c.Client.AppsV1().DaemonSets(w.Namespace).Get(ctx, w.Name, metav1.GetOptions{})
		if err != nil {
			return rollout{}, err
		}
		return daemonSetRollout(w, o), nil
	case "Deployment":
		o, err := c.Client.AppsV1().Deployments(w.Namespace).Get(ctx, w.Name, metav1.GetOptions{})
		if err != nil {
			return rollout{}, err
		}
		return deploymentRollout(w, o), nil
	case "StatefulSet":
		o, err := c.Client.AppsV1().StatefulSets(w.Namespace).Get(ctx, w.Name, metav1.GetOptions{})
		if err != nil {
			return rollout{}, err
		}
		return statefulSetRollout(w, o), nil
	default:
		o, err := c.Client.BatchV1().Jobs(w.Namespace).Get(ctx, w.Name, metav1.GetOptions{})
		if err != nil {
			return rollout{}, err
		}
		return jobRollout(w, o), nil
	}
}

func daemonSetRollout(w Workload, o *appsv1.DaemonSet) rollout {
	s := o.Status
	r := rollout{Workload: w, wanted: int(s.DesiredNumberScheduled), selector: o.Spec.Selector}
	if s.ObservedGeneration < o.Generation {
		return r // the numbers are those of the former form
	}
	r.observed, r.updated = true, s.UpdatedNumberScheduled >= s.DesiredNumberScheduled
	// Pods of the former form are ready too: the smaller number counts.
	r.ready = int(min(s.NumberAvailable, s.UpdatedNumberScheduled))
	if o.Spec.UpdateStrategy.Type == appsv1.OnDeleteDaemonSetStrategyType {
		r.ready = int(s.NumberAvailable)
	}
	r.done = r.ready >= r.wanted
	return r
}

func deploymentRollout(w Workload, o *appsv1.Deployment) rollout {
	s := o.Status
	r := rollout{Workload: w, wanted: int(replicas(o.Spec.Replicas)), selector: o.Spec.Selector}
	if s.ObservedGeneration < o.Generation {
		return r
	}
	r.observed, r.updated = true, s.UpdatedReplicas >= replicas(o.Spec.Replicas)
	r.ready = int(min(s.AvailableReplicas, s.UpdatedReplicas))
	// More replicas than wanted: the former pods haven't ended yet.
	r.done = r.ready >= r.wanted && int(s.Replicas) <= r.wanted
	return r
}

func statefulSetRollout(w Workload, o *appsv1.StatefulSet) rollout {
	s := o.Status
	r := rollout{Workload: w, wanted: int(replicas(o.Spec.Replicas)), selector: o.Spec.Selector}
	if s.ObservedGeneration < o.Generation {
		return r
	}
	r.observed, r.updated = true, s.UpdatedReplicas >= replicas(o.Spec.Replicas)
	r.ready = int(min(s.AvailableReplicas, s.UpdatedReplicas))
	if o.Spec.UpdateStrategy.Type == appsv1.OnDeleteStatefulSetStrategyType {
		r.ready = int(s.AvailableReplicas)
	}
	r.done = r.ready >= r.wanted
	return r
}

func jobRollout(w Workload, o *batchv1.Job) rollout {
	r := rollout{Workload: w, wanted: int(replicas(o.Spec.Completions)), ready: int(o.Status.Succeeded), selector: o.Spec.Selector}
	for _, condition := range o.Status.Conditions {
		if condition.Status != corev1.ConditionTrue {
			continue
		}
		switch condition.Type {
		case batchv1.JobComplete:
			r.done = true
		case batchv1.JobFailed:
			r.failed = true
		}
	}
	return r
}

// replicas is the number that the API server takes when none is given.
func replicas(n *int32) int32 {
	if n == nil {
		return 1
	}
	return *n
}
