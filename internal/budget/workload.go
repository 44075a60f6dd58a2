package budget

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/component-helpers/resource"
	"sigs.k8s.io/yaml"

	"github.com/tmorin/homecloud/internal/chart"
	"github.com/tmorin/homecloud/internal/config"
)

// workload is an object that runs pods.
type workload struct {
	part     Part
	pod      corev1.PodSpec
	replicas int32
	perBoard bool // one pod on every board that it may run on
}

// object is what counts of a workload of any kind.
type object struct {
	Kind     string            `json:"kind"`
	Metadata metav1.ObjectMeta `json:"metadata"`
	Spec     struct {
		podsOf
		JobTemplate struct {
			Spec podsOf `json:"spec"`
		} `json:"jobTemplate"`
	} `json:"spec"`
	Items []object `json:"items"`
}

type podsOf struct {
	Replicas    *int32 `json:"replicas"`
	Parallelism *int32 `json:"parallelism"`
	Template    struct {
		Spec corev1.PodSpec `json:"spec"`
	} `json:"template"`
}

// read finds the workloads among what was rendered.
func read(documents []chart.Document) (workloads []workload, err error) {
	for _, d := range documents {
		var kind struct {
			Kind string `json:"kind"`
		}
		if err := yaml.Unmarshal([]byte(d.Text), &kind); err != nil {
			return nil, fmt.Errorf("%s: %w", d.Source, err)
		}
		if !runsPods(kind.Kind) && !strings.HasSuffix(kind.Kind, "List") {
			continue // a field of another kind may have the name and not the type
		}
		var o object
		if err := yaml.Unmarshal([]byte(d.Text), &o); err != nil {
			return nil, fmt.Errorf("%s: %w", d.Source, err)
		}
		for _, o := range append(o.Items, o) {
			if runsPods(o.Kind) && !isTest(o) {
				workloads = append(workloads, o.workload(d.Source))
			}
		}
	}
	return workloads, nil
}

func runsPods(kind string) bool {
	switch kind {
	case "Deployment", "StatefulSet", "ReplicaSet", "DaemonSet", "Job", "CronJob":
		return true
	}
	return false
}

// isTest says whether an object only runs when somebody tests the release.
func isTest(o object) bool { return o.Metadata.Annotations["helm.sh/hook"] == "test" }

func (o object) workload(source string) workload {
	pods := o.Spec.podsOf
	w := workload{replicas: 1}
	switch o.Kind {
	case "DaemonSet":
		w.perBoard = true
	case "CronJob":
		pods = o.Spec.JobTemplate.Spec
		fallthrough
	case "Job":
		w.part.Ends = true
		pods.Replicas = pods.Parallelism
	}
	if pods.Replicas != nil && !w.perBoard {
		w.replicas = *pods.Replicas
	}
	w.pod = pods.Template.Spec
	w.part.Chart = chartOf(source)
	w.part.Name = strings.TrimPrefix(o.Metadata.Name, config.Fullname(config.Release, w.part.Chart)+"-")
	w.measure()
	return w
}

// chartOf is the chart that a template belongs to: the last of
// homecloud/charts/platform/charts/traefik/templates/….
func chartOf(source string) string {
	folder, _, _ := strings.Cut(source, "/templates/")
	return folder[strings.LastIndexByte(folder, '/')+1:]
}

// measure adds up the pod's containers as Kubernetes does: init containers run
// before the others, one at a time, but for those that stay beside them.
func (w *workload) measure() {
	pod := &corev1.Pod{Spec: *w.pod.DeepCopy()}
	for _, list := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for i := range list {
			w.complete(&list[i].Resources)
		}
	}
	needs := resource.PodRequests(pod, resource.PodResourcesOptions{})
	w.part.Needs = Bytes(needs.Memory().Value())
	w.part.CPU = CPU(needs.Cpu().MilliValue())
	most := resource.PodLimits(pod, resource.PodResourcesOptions{})
	w.part.Most = max(Bytes(most.Memory().Value()), w.part.Needs)
}

// complete writes what a container leaves out: a request is the limit then, as
// the API server has it; a limit counts as the request, and is noted.
func (w *workload) complete(r *corev1.ResourceRequirements) {
	requests, limits := corev1.ResourceList{}, corev1.ResourceList{}
	for name, amount := range r.Limits {
		requests[name], limits[name] = amount, amount
	}
	for name, amount := range r.Requests {
		requests[name] = amount
	}
	if limit, limited := limits[corev1.ResourceMemory]; !limited || limit.IsZero() {
		w.part.Unlimited = true
		limits[corev1.ResourceMemory] = requests[corev1.ResourceMemory]
	}
	r.Requests, r.Limits = requests, limits
}
