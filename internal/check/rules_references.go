package check

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
)

var referenceRules = []Rule{
	{ID: "selector", Severity: Error, Summary: "Workloads select their own pods",
		Why:  "the API server refuses it",
		Mend: "write the same labels in the selector and in the pods", check: whenComplete(checkSelectors)},
	{ID: "selected-pods", Severity: Warning, Summary: "Services, NetworkPolicies and PodDisruptionBudgets select pods of the release",
		Why:  "a Service that selects none serves nobody, and a policy that selects none protects nobody",
		Mend: "write the labels of the pods; where an operator makes them, say so with an annotation", check: whenComplete(checkSelected)},
	{ID: "port", Severity: Error, Summary: "Ports that are named are there",
		Why:  "the Service, probe or Ingress leads nowhere",
		Mend: "name a port of the container or of the Service", check: whenComplete(checkPorts)},
	{ID: "reference", Severity: Error, Summary: "Keys that pods read are in the Secret or ConfigMap",
		Why:  "the container never starts",
		Mend: "correct the key, or mark the reference as optional", check: whenComplete(checkKeys)},
	{ID: "outside-reference", Severity: Warning, Summary: "Secrets, ConfigMaps, claims and accounts come with the release or are provided",
		Why:  "the pod waits for it for ever when nobody made it before",
		Mend: "render it, let the values name it (existingSecret), or say with --provided that it is there", check: whenComplete(checkOutside)},
	{ID: "volume", Severity: Error, Summary: "Volumes that are mounted are there",
		Why:  "the API server refuses the pod",
		Mend: "declare the volume in the pod", check: checkVolumes},
}

// whenComplete leaves a rule out when something couldn't be read: what seems to
// be missing may stand there.
func whenComplete(judge func(*run)) func(*run) {
	return func(r *run) {
		if r.complete {
			judge(r)
		}
	}
}

// selects says whether an object's selector matches labels. One that is empty
// selects everything, one that isn't there nothing; a NetworkPolicy's that isn't
// there is empty.
func (o *object) selects(of map[string]string) bool {
	isPolicy := o.is("NetworkPolicy")
	field := "selector"
	if isPolicy {
		field = "podSelector"
	}
	raw, _, _ := unstructured.NestedFieldNoCopy(o.value, "spec", field)
	if raw == nil {
		return isPolicy
	}
	text, err := json.Marshal(raw)
	if err != nil {
		return false
	}
	var selector metav1.LabelSelector
	if json.Unmarshal(text, &selector) != nil {
		return false
	}
	s, err := metav1.LabelSelectorAsSelector(&selector)
	return err == nil && s.Matches(labels.Set(of))
}

// servicePods are the objects whose pods a Service selects; selecting is false
// when it selects by itself, or nothing.
func (r *run) servicePods(service *object) (found []*object, selecting bool) {
	selector, has, err := unstructured.NestedStringMap(service.value, "spec", "selector")
	if err != nil || !has || len(selector) == 0 {
		return nil, false
	}
	for _, o := range r.objects {
		if o.pod != nil && o.namespace == service.namespace && labels.SelectorFromSet(selector).Matches(labels.Set(o.pod.Labels)) {
			found = append(found, o)
		}
	}
	return found, true
}

func checkSelectors(r *run) {
	for _, o := range r.objects {
		if o.is("Deployment", "DaemonSet", "StatefulSet", "ReplicaSet") && o.pod != nil && !o.selects(o.pod.Labels) {
			r.found(o, "its selector doesn't select its own pods")
		}
	}
}

func checkSelected(r *run) {
	for _, o := range r.objects {
		found := true
		switch {
		case o.is("Service"):
			pods, selecting := r.servicePods(o)
			found = pods != nil || !selecting
		case o.is("PodDisruptionBudget", "NetworkPolicy"):
			found = o.selects(nil) || slices.ContainsFunc(r.objects, func(p *object) bool {
				return p.pod != nil && p.namespace == o.namespace && o.selects(p.pod.Labels)
			})
		}
		if !found {
			r.found(o, "selects no pod of this release")
		}
	}
}

func checkPorts(r *run) {
	for _, o := range r.objects {
		switch {
		case o.is("Service"):
			r.servicePorts(o)
		case o.is("Ingress"):
			r.ingressPorts(o)
		case o.pod != nil:
			o.containers(func(c *corev1.Container, where string, _ bool) {
				for _, h := range handlersOf(c) {
					if h.port != nil && h.port.Type == intstr.String && !hasPort(c, h.port.StrVal) {
						r.found(o, "%s: %s asks for the port %s, which the container doesn't name", where, strings.Join(h.name, "."), h.port.StrVal)
					}
				}
			})
		}
	}
}

func hasPort(c *corev1.Container, name string) bool {
	return slices.ContainsFunc(c.Ports, func(p corev1.ContainerPort) bool { return p.Name == name })
}

func (r *run) servicePorts(service *object) {
	pods, _ := r.servicePods(service)
	ports, _, _ := unstructured.NestedSlice(service.value, "spec", "ports")
	for _, port := range ports {
		port, _ := port.(map[string]any)
		name, isName := port["targetPort"].(string)
		if !isName {
			continue
		}
		named := false
		var served []string
		for _, o := range pods {
			if o.hooks() != nil || o.is("Job", "CronJob") { // with the labels of what they work for
				continue
			}
			served = append(served, o.String())
			o.containers(func(c *corev1.Container, _ string, _ bool) { named = named || hasPort(c, name) })
			named = named || o.partial
		}
		if served != nil && !named {
			r.found(service, "leads to the port %s, which no container of %s names", name, strings.Join(served, " or "))
		}
	}
}

func (r *run) ingressPorts(ingress *object) {
	backends(ingress.value["spec"], func(name string, port any) {
		service := r.find("Service", name, ingress.namespace)
		if service == nil {
			r.found(ingress, "leads to the Service %s, which this release doesn't have", name)
			return
		}
		ports, _, _ := unstructured.NestedSlice(service.value, "spec", "ports")
		if !slices.ContainsFunc(ports, func(p any) bool {
			p2, _ := p.(map[string]any)
			return fmt.Sprint(p2["port"]) == fmt.Sprint(port) || p2["name"] == port
		}) {
			r.found(ingress, "leads to the port %v of the Service %s, which it doesn't have", port, name)
		}
	})
}

// backends calls back for every Service that an Ingress leads to.
func backends(value any, found func(service string, port any)) {
	switch v := value.(type) {
	case map[string]any:
		if service, is := v["service"].(map[string]any); is {
			port, _ := service["port"].(map[string]any)
			for _, field := range []string{"name", "number"} {
				if port[field] != nil {
					found(fmt.Sprint(service["name"]), port[field])
				}
			}
		}
		for _, field := range sortedKeys(v) {
			backends(v[field], found)
		}
	case []any:
		for _, entry := range v {
			backends(entry, found)
		}
	}
}

func (r *run) find(kind, name, namespace string) *object {
	for _, o := range r.objects {
		if o.is(kind) && o.name == name && o.namespace == namespace {
			return o
		}
	}
	return nil
}

// need is something that a pod can't start without.
type need struct {
	kind, name string
	key        string // empty: the whole object
}

// needs lists what the pods of an object need, once each.
func (o *object) needs() (list []need) {
	add := func(kind, name, key string, optional *bool) {
		if n := (need{kind, name, key}); name != "" && (optional == nil || !*optional) && !slices.Contains(list, n) {
			list = append(list, n)
		}
	}
	o.containers(func(c *corev1.Container, _ string, _ bool) {
		for _, env := range c.Env {
			if from := env.ValueFrom; from != nil && from.SecretKeyRef != nil {
				add("Secret", from.SecretKeyRef.Name, from.SecretKeyRef.Key, from.SecretKeyRef.Optional)
			} else if from != nil && from.ConfigMapKeyRef != nil {
				add("ConfigMap", from.ConfigMapKeyRef.Name, from.ConfigMapKeyRef.Key, from.ConfigMapKeyRef.Optional)
			}
		}
		for _, from := range c.EnvFrom {
			if from.SecretRef != nil {
				add("Secret", from.SecretRef.Name, "", from.SecretRef.Optional)
			}
			if from.ConfigMapRef != nil {
				add("ConfigMap", from.ConfigMapRef.Name, "", from.ConfigMapRef.Optional)
			}
		}
	})
	items := func(kind, name string, keys []corev1.KeyToPath, optional *bool) {
		add(kind, name, "", optional)
		for _, item := range keys {
			add(kind, name, item.Key, optional)
		}
	}
	for _, v := range o.pod.Spec.Volumes {
		if v.Secret != nil {
			items("Secret", v.Secret.SecretName, v.Secret.Items, v.Secret.Optional)
		}
		if v.ConfigMap != nil {
			items("ConfigMap", v.ConfigMap.Name, v.ConfigMap.Items, v.ConfigMap.Optional)
		}
		if v.PersistentVolumeClaim != nil {
			add("PersistentVolumeClaim", v.PersistentVolumeClaim.ClaimName, "", nil)
		}
		if v.Projected != nil {
			for _, source := range v.Projected.Sources {
				if source.Secret != nil {
					items("Secret", source.Secret.Name, source.Secret.Items, source.Secret.Optional)
				}
				if source.ConfigMap != nil {
					items("ConfigMap", source.ConfigMap.Name, source.ConfigMap.Items, source.ConfigMap.Optional)
				}
			}
		}
	}
	for _, secret := range o.pod.Spec.ImagePullSecrets {
		add("Secret", secret.Name, "", nil)
	}
	if name := o.pod.Spec.ServiceAccountName; name != "default" {
		add("ServiceAccount", name, "", nil)
	}
	return list
}

func checkKeys(r *run) {
	for _, o := range r.objects {
		if o.pod == nil {
			continue
		}
		for _, n := range o.needs() {
			if n.key == "" {
				continue
			}
			if holder := r.find(n.kind, n.name, o.namespace); holder != nil && !hasKey(holder, n.key) {
				r.found(o, "reads the key %s of the %s %s, which doesn't have it", n.key, n.kind, n.name)
			} else if given := r.provided(n.kind, n.name); holder == nil && given != nil && given.Keys != nil && !slices.Contains(given.Keys, n.key) {
				r.found(o, "reads the key %s of the %s %s, which isn't among its %s", n.key, n.kind, n.name, strings.Join(given.Keys, ", "))
			}
		}
	}
}

func hasKey(holder *object, key string) bool {
	for _, field := range []string{"data", "stringData", "binaryData"} {
		if values, is := holder.value[field].(map[string]any); is {
			if _, has := values[key]; has {
				return true
			}
		}
	}
	return false
}

// everywhere is what Kubernetes puts into each namespace by itself.
var everywhere = []Provided{{Kind: "ConfigMap", Name: "kube-root-ca.crt", Keys: []string{"ca.crt"}}}

func (r *run) provided(kind, name string) *Provided {
	given := slices.Concat(everywhere, r.Provided)
	for i := range given {
		if given[i].Kind == kind && given[i].Name == name {
			return &given[i]
		}
	}
	return nil
}

func checkOutside(r *run) {
	for _, o := range r.objects {
		if o.pod == nil {
			continue
		}
		var told []need
		for _, n := range o.needs() {
			n.key = ""
			if slices.Contains(told, n) || r.find(n.kind, n.name, o.namespace) != nil || r.provided(n.kind, n.name) != nil {
				continue
			}
			told = append(told, n)
			r.found(o, "needs the %s %s, which the release doesn't bring", n.kind, n.name)
		}
	}
}

func checkVolumes(r *run) {
	for _, o := range r.objects {
		if o.pod == nil {
			continue
		}
		var declared []string
		for _, v := range o.pod.Spec.Volumes {
			declared = append(declared, v.Name)
		}
		claims, _, _ := unstructured.NestedSlice(o.value, "spec", "volumeClaimTemplates")
		for _, claim := range claims {
			claim, _ := claim.(map[string]any)
			name, _, _ := unstructured.NestedString(claim, "metadata", "name")
			declared = append(declared, name)
		}
		o.containers(func(c *corev1.Container, where string, _ bool) {
			mounted := func(name string) {
				if !slices.Contains(declared, name) {
					r.found(o, "%s: mounts %s, which is no volume of the pod", where, name)
				}
			}
			for _, mount := range c.VolumeMounts {
				mounted(mount.Name)
			}
			for _, device := range c.VolumeDevices {
				mounted(device.Name)
			}
		})
	}
}
