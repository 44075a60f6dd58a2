package check

import (
	"cmp"
	"slices"
	"strings"

	"github.com/robfig/cron/v3"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
	names "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// refused is what an API server refuses although every field has the right form:
// names, and fields that don't go together. Source: pkg/apis/*/validation of
// Kubernetes, of which nobody can import the whole.
func (o *object) refused() (errs field.ErrorList) {
	spec := field.NewPath("spec")
	if meta, ok := as[metav1.ObjectMeta](o.value["metadata"]); ok {
		errs = refusedMeta(meta, field.NewPath("metadata"))
	}
	if o.pod != nil && !o.partial {
		errs = append(errs, o.refusedPod()...)
	}
	switch {
	case o.is("Deployment"):
		d, _ := as[appsv1.Deployment](o.value)
		if d.Spec.Strategy.Type == appsv1.RecreateDeploymentStrategyType && d.Spec.Strategy.RollingUpdate != nil {
			errs = append(errs, field.Forbidden(spec.Child("strategy", "rollingUpdate"), "may not stand beside the type Recreate"))
		}
	case o.is("CronJob"):
		if c, ok := as[batchv1.CronJob](o.value); ok {
			errs = append(errs, refusedSchedule(c.Spec.Schedule, spec.Child("schedule"))...)
		}
	case o.is("Service"):
		if s, ok := as[corev1.Service](o.value); ok {
			errs = append(errs, refusedService(s.Spec, spec)...)
		}
	case o.is("Secret"):
		secret, _ := as[corev1.Secret](o.value)
		for _, key := range neededKeys[secret.Type] {
			if !hasKey(o, key) {
				errs = append(errs, field.Required(field.NewPath("data").Key(key), "of a Secret of the type "+string(secret.Type)))
			}
		}
		errs = append(errs, o.refusedKeys()...)
	case o.is("ConfigMap"):
		errs = append(errs, o.refusedKeys()...)
	}
	return errs
}

// neededKeys are those that a Secret of a type must have.
var neededKeys = map[corev1.SecretType][]string{
	corev1.SecretTypeTLS:              {corev1.TLSCertKey, corev1.TLSPrivateKeyKey},
	corev1.SecretTypeSSHAuth:          {corev1.SSHAuthPrivateKey},
	corev1.SecretTypeDockercfg:        {corev1.DockerConfigKey},
	corev1.SecretTypeDockerConfigJson: {corev1.DockerConfigJsonKey},
}

// as reads a value as one of Kubernetes' types; what doesn't fit is the
// schemas' matter.
func as[T any](value any) (typed T, ok bool) {
	fields, _ := value.(map[string]any)
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(fields, &typed); err != nil {
		return *new(T), false
	}
	return typed, true
}

func refusedMeta(meta metav1.ObjectMeta, at *field.Path) field.ErrorList {
	errs := metavalidation.ValidateLabels(meta.Labels, at.Child("labels"))
	errs = append(errs, validation.ValidateAnnotations(meta.Annotations, at.Child("annotations"))...)
	for i, finalizer := range meta.Finalizers {
		errs = append(errs, validation.ValidateFinalizerName(finalizer, at.Child("finalizers").Index(i))...)
	}
	return errs
}

func (o *object) refusedKeys() (errs field.ErrorList) {
	for _, in := range []string{"data", "stringData", "binaryData"} {
		values, _ := o.value[in].(map[string]any)
		for key := range values {
			errs = append(errs, invalid(field.NewPath(in).Key(key), key, names.IsConfigMapKey(key))...)
		}
	}
	return errs
}

func refusedSchedule(schedule string, at *field.Path) field.ErrorList {
	if strings.Contains(schedule, "TZ") {
		return field.ErrorList{field.Invalid(at, schedule, "names a time zone: write it as spec.timeZone")}
	}
	if _, err := cron.ParseStandard(schedule); err != nil {
		return field.ErrorList{field.Invalid(at, schedule, err.Error())}
	}
	return nil
}

func refusedService(s corev1.ServiceSpec, at *field.Path) (errs field.ErrorList) {
	if len(s.Ports) == 0 && s.Type != corev1.ServiceTypeExternalName && s.ClusterIP != corev1.ClusterIPNone {
		errs = append(errs, field.Required(at.Child("ports"), "of a Service that is neither headless nor an ExternalName"))
	}
	var known []string
	for i, port := range s.Ports {
		at := at.Child("ports").Index(i)
		switch {
		case port.Name == "" && len(s.Ports) > 1:
			errs = append(errs, field.Required(at.Child("name"), "where there are several ports"))
		case port.Name != "" && slices.Contains(known, port.Name):
			errs = append(errs, field.Duplicate(at.Child("name"), port.Name))
		case port.Name != "":
			errs = append(errs, invalid(at.Child("name"), port.Name, names.IsDNS1123Label(port.Name))...)
		}
		known = append(known, port.Name)
		errs = append(errs, invalid(at.Child("port"), port.Port, names.IsValidPortNum(int(port.Port)))...)
		if port.TargetPort != (intstr.IntOrString{}) {
			errs = append(errs, refusedPort(port.TargetPort, at.Child("targetPort"))...)
		}
	}
	return errs
}

// refusedPort is about a port that has a number or a name.
func refusedPort(port intstr.IntOrString, at *field.Path) field.ErrorList {
	if port.Type == intstr.String {
		return invalid(at, port.StrVal, names.IsValidPortName(port.StrVal))
	}
	return invalid(at, port.IntVal, names.IsValidPortNum(int(port.IntVal)))
}

func invalid(at *field.Path, value any, problems []string) (errs field.ErrorList) {
	for _, problem := range problems {
		errs = append(errs, field.Invalid(at, value, problem))
	}
	return errs
}

func (o *object) refusedPod() (errs field.ErrorList) {
	var at *field.Path
	for _, name := range podPaths[o.kind] {
		at = at.Child(name)
	}
	if at != nil {
		errs = refusedMeta(o.pod.ObjectMeta, at.Child("metadata"))
	}
	at = at.Child("spec")
	spec := &o.pod.Spec
	allowed := []corev1.RestartPolicy{corev1.RestartPolicyAlways}
	switch o.kind {
	case "Job", "CronJob":
		allowed = []corev1.RestartPolicy{corev1.RestartPolicyOnFailure, corev1.RestartPolicyNever}
	case "Pod":
		allowed = append(allowed, corev1.RestartPolicyOnFailure, corev1.RestartPolicyNever)
	}
	if restart := cmp.Or(spec.RestartPolicy, corev1.RestartPolicyAlways); !slices.Contains(allowed, restart) {
		errs = append(errs, field.NotSupported(at.Child("restartPolicy"), restart, allowed))
	}
	for i, volume := range spec.Volumes {
		errs = append(errs, invalid(at.Child("volumes").Index(i).Child("name"), volume.Name, names.IsDNS1123Label(volume.Name))...)
	}
	init := map[string]bool{}
	for i := range spec.InitContainers {
		init[spec.InitContainers[i].Name] = true
		errs = append(errs, refusedContainer(&spec.InitContainers[i], at.Child("initContainers").Index(i))...)
	}
	for i := range spec.Containers {
		at := at.Child("containers").Index(i)
		errs = append(errs, refusedContainer(&spec.Containers[i], at)...)
		if init[spec.Containers[i].Name] { // the same name twice in a list is the rule duplicate-key's
			errs = append(errs, field.Duplicate(at.Child("name"), spec.Containers[i].Name))
		}
	}
	return errs
}

func refusedContainer(c *corev1.Container, at *field.Path) field.ErrorList {
	errs := invalid(at.Child("name"), c.Name, names.IsDNS1123Label(c.Name))
	for i, port := range c.Ports {
		at := at.Child("ports").Index(i)
		if port.Name != "" {
			errs = append(errs, invalid(at.Child("name"), port.Name, names.IsValidPortName(port.Name))...)
			if slices.ContainsFunc(c.Ports[:i], func(p corev1.ContainerPort) bool { return p.Name == port.Name }) {
				errs = append(errs, field.Duplicate(at.Child("name"), port.Name))
			}
		}
		errs = append(errs, invalid(at.Child("containerPort"), port.ContainerPort, names.IsValidPortNum(int(port.ContainerPort)))...)
		if port.HostPort != 0 {
			errs = append(errs, invalid(at.Child("hostPort"), port.HostPort, names.IsValidPortNum(int(port.HostPort)))...)
		}
	}
	for i, env := range c.Env {
		at := at.Child("env").Index(i)
		errs = append(errs, invalid(at.Child("name"), env.Name, names.IsRelaxedEnvVarName(env.Name))...)
		if env.Value != "" && env.ValueFrom != nil {
			errs = append(errs, field.Forbidden(at.Child("valueFrom"), "may not stand beside a value"))
		}
	}
	for _, h := range handlersOf(c) {
		at := at.Child(h.name[0], h.name[1:]...)
		if h.ways != 1 {
			errs = append(errs, field.Invalid(at, h.ways, "must ask in one way: exec, httpGet, tcpSocket, or another"))
		}
		if h.port != nil {
			errs = append(errs, refusedPort(*h.port, at.Child("port"))...)
		}
		if h.successes > 1 && h.name[0] != "readinessProbe" {
			errs = append(errs, field.Invalid(at.Child("successThreshold"), h.successes, "must be 1"))
		}
	}
	return append(errs, refusedResources(c.Resources, at.Child("resources"))...)
}

func refusedResources(r corev1.ResourceRequirements, at *field.Path) (errs field.ErrorList) {
	for of, list := range map[string]corev1.ResourceList{"limits": r.Limits, "requests": r.Requests} {
		for name, quantity := range list {
			at := at.Child(of).Key(string(name))
			if quantity.Sign() < 0 {
				errs = append(errs, field.Invalid(at, quantity.String(), "must not be negative"))
			}
			if limit, has := r.Limits[name]; has && quantity.Cmp(limit) > 0 {
				errs = append(errs, field.Invalid(at, quantity.String(), "must not be above the limit, which is "+limit.String()))
			}
		}
	}
	return errs
}

// handler is what a container is asked by: a probe, or a hook of its life.
type handler struct {
	name      []string // such as lifecycle, preStop
	ways      int      // of asking; one is right
	port      *intstr.IntOrString
	successes int32 // that are wanted in a row
}

func handlersOf(c *corev1.Container) (list []handler) {
	add := func(successes int32, exec, other bool, get *corev1.HTTPGetAction, socket *corev1.TCPSocketAction, name ...string) {
		h := handler{name: name, successes: successes}
		for _, is := range []bool{exec, other, get != nil, socket != nil} {
			if is {
				h.ways++
			}
		}
		switch {
		case get != nil:
			h.port = &get.Port
		case socket != nil:
			h.port = &socket.Port
		}
		list = append(list, h)
	}
	probe := func(p *corev1.Probe, name string) {
		if p != nil {
			add(p.SuccessThreshold, p.Exec != nil, p.GRPC != nil, p.HTTPGet, p.TCPSocket, name)
		}
	}
	hook := func(h *corev1.LifecycleHandler, name string) {
		if h != nil {
			add(0, h.Exec != nil, h.Sleep != nil, h.HTTPGet, h.TCPSocket, "lifecycle", name)
		}
	}
	probe(c.LivenessProbe, "livenessProbe")
	probe(c.ReadinessProbe, "readinessProbe")
	probe(c.StartupProbe, "startupProbe")
	if c.Lifecycle != nil {
		hook(c.Lifecycle.PostStart, "postStart")
		hook(c.Lifecycle.PreStop, "preStop")
	}
	return list
}
