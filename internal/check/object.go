package check

import (
	"fmt"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/yaml"

	"github.com/tmorin/homecloud/internal/chart"
	"github.com/tmorin/homecloud/internal/jsonschema"
	"github.com/tmorin/homecloud/internal/kubeschema"
)

// object is one of the objects that a chart rendered.
type object struct {
	source string // the template
	text   string
	value  map[string]any

	apiVersion, kind, namespace, name string

	pod     *corev1.PodTemplateSpec // what it runs; nil: no pod
	partial bool                    // only the pod's labels could be read

	validated sync.Map // validated → kubeschema.Result
}

// String is "DaemonSet syncthing".
func (o *object) String() string { return strings.TrimSpace(o.kind + " " + o.name) }

func (o *object) annotation(key string) string {
	value, _, _ := unstructured.NestedString(o.value, "metadata", "annotations", key)
	return value
}

// hooks are the events that a hook of Helm's waits for; nil: it is no hook.
func (o *object) hooks() []string {
	events := o.annotation("helm.sh/hook")
	if events == "" {
		return nil
	}
	var list []string
	for _, event := range strings.Split(events, ",") {
		list = append(list, strings.TrimSpace(event))
	}
	return list
}

// isTest says whether it only runs when somebody tests a release.
func (o *object) isTest() bool {
	for _, hook := range o.hooks() {
		if hook == "test" || hook == "test-success" {
			return true
		}
	}
	return false
}

// reading is what was read from a document.
type reading struct {
	objects  []*object
	findings []Finding
}

// readings remembers: with other values, and in another rendering, most
// documents stay the same.
type readings struct {
	mutex sync.Mutex
	known map[readingKey]reading
}

type readingKey struct {
	document  chart.Document
	namespace string
}

// readingsLimit is how many documents are remembered; then it begins anew.
const readingsLimit = 10000

// read reads what templates wrote. The objects are shared: nobody changes them.
func (r *readings) read(documents []chart.Document, namespace string) (objects []*object, findings []Finding) {
	for _, d := range documents {
		key := readingKey{d, namespace}
		r.mutex.Lock()
		is, has := r.known[key]
		r.mutex.Unlock()
		if !has {
			is = readDocument(d, namespace)
			r.mutex.Lock()
			if r.known == nil || len(r.known) == readingsLimit {
				r.known = map[readingKey]reading{}
			}
			r.known[key] = is
			r.mutex.Unlock()
		}
		objects, findings = append(objects, is.objects...), append(findings, is.findings...)
	}
	return objects, findings
}

// readDocument takes a List apart as an API client does; a document that holds
// nothing is no object.
func readDocument(d chart.Document, namespace string) (r reading) {
	var value map[string]any
	if err := yaml.Unmarshal([]byte(d.Text), &value); err != nil {
		r.findings = append(r.findings, Finding{Rule: ruleYAML, Source: d.Source, Text: strings.TrimPrefix(err.Error(), "error converting YAML to JSON: ")})
		return r
	}
	if len(value) == 0 {
		return r
	}
	items, isList := value["items"].([]any)
	apiVersion, _ := value["apiVersion"].(string)
	kind, _ := value["kind"].(string)
	if !isList || !isListKind(apiVersion, kind) {
		r.objects = append(r.objects, newObject(d.Source, d.Text, value, namespace))
		return r
	}
	for _, item := range items {
		value, is := item.(map[string]any)
		if !is {
			r.findings = append(r.findings, Finding{Rule: ruleYAML, Source: d.Source, Text: fmt.Sprintf("an entry of a List is no object: %v", item)})
			continue
		}
		if of := strings.TrimSuffix(kind, "List"); of != "" && value["kind"] == nil { // the list says it for all
			value["apiVersion"], value["kind"] = apiVersion, of
		}
		text, err := yaml.Marshal(value)
		if err != nil {
			continue // it was read from YAML
		}
		r.objects = append(r.objects, newObject(d.Source, string(text), value, namespace))
	}
	return r
}

// isListKind says whether it is one of Kubernetes' own lists. A custom kind may
// be called List, too, and hold anything.
func isListKind(apiVersion, kind string) bool {
	return apiVersion == "v1" && kind == "List" ||
		strings.HasSuffix(kind, "List") && scheme.Scheme.Recognizes(schema.FromAPIVersionAndKind(apiVersion, kind))
}

// validate asks the schemas, once for those that are the same in all runs.
func (o *object) validate(r *run) (kubeschema.Result, error) {
	key := validated{r.schemas, strings.Join(r.versions, " ")}
	if known, has := o.validated.Load(key); has {
		return known.(kubeschema.Result), nil
	}
	result, err := r.schemas.Validate([]byte(o.text), o.value, r.versions)
	if err != nil {
		return result, err
	}
	if o.is("CustomResourceDefinition") && result.Problems == nil {
		if _, err := r.Schemas.With(o.value); err != nil {
			result.Problems = append(result.Problems, jsonschema.Problem{Text: strings.TrimPrefix(err.Error(), "CustomResourceDefinition: ")})
		}
	}
	if r.schemas == r.Schemas || r.schemas == r.definitions(r.chart).schemas {
		o.validated.Store(key, result)
	}
	return result, nil
}

// validated is what an object was validated against.
type validated struct {
	schemas  *kubeschema.Schemas
	versions string
}

func newObject(source, text string, value map[string]any, namespace string) *object {
	o := &object{source: source, text: text, value: value, namespace: namespace}
	o.apiVersion, _ = value["apiVersion"].(string)
	o.kind, _ = value["kind"].(string)
	metadata, _ := value["metadata"].(map[string]any)
	o.name, _ = metadata["name"].(string)
	if own, _ := metadata["namespace"].(string); own != "" {
		o.namespace = own
	}
	if at := podPaths[o.kind]; at != nil && isWorkload(o.apiVersion) {
		if template, found, _ := unstructured.NestedMap(value, at...); found {
			o.pod, o.partial = podOf(template, o.kind == "Pod")
		}
	}
	return o
}

// podPaths is where a kind keeps the template of its pods.
var podPaths = map[string][]string{
	"Pod": {}, "Deployment": {"spec", "template"}, "DaemonSet": {"spec", "template"}, "StatefulSet": {"spec", "template"},
	"ReplicaSet": {"spec", "template"}, "ReplicationController": {"spec", "template"}, "Job": {"spec", "template"},
	"CronJob": {"spec", "jobTemplate", "spec", "template"},
}

func isWorkload(apiVersion string) bool {
	group, _, has := strings.Cut(apiVersion, "/")
	return !has || group == "apps" || group == "batch"
}

// podOf reads a template as far as it can be read: what is wrong with it is the
// schemas' matter.
func podOf(template map[string]any, isPod bool) (pod *corev1.PodTemplateSpec, partial bool) {
	pod = &corev1.PodTemplateSpec{}
	if isPod {
		template = map[string]any{"metadata": template["metadata"], "spec": template["spec"]}
	}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(template, pod); err != nil {
		labels, _, _ := unstructured.NestedStringMap(template, "metadata", "labels")
		return &corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}}, true
	}
	return pod, false
}

// containers calls back for each container of the object's pods; init ones that
// end are told apart.
func (o *object) containers(found func(c *corev1.Container, where string, ends bool)) {
	if o.pod == nil {
		return
	}
	for i := range o.pod.Spec.InitContainers {
		c := &o.pod.Spec.InitContainers[i]
		found(c, "init container "+c.Name, c.RestartPolicy == nil || *c.RestartPolicy != corev1.ContainerRestartPolicyAlways)
	}
	for i := range o.pod.Spec.Containers {
		c := &o.pod.Spec.Containers[i]
		found(c, "container "+c.Name, o.kind == "Job" || o.kind == "CronJob" || o.kind == "Pod" && o.pod.Spec.RestartPolicy == corev1.RestartPolicyNever)
	}
}
