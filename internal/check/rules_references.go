package check

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
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
	{ID: "outside-reference", Severity: Warning, Summary: "What pods, roles and autoscalers name comes with the release or is provided",
		Why:  "the pod waits for it for ever, or the rule has no effect, when nobody made it before",
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
		case o.is("NetworkPolicy"):
			r.policyPorts(o)
		case o.pod != nil:
			o.containers(func(c *corev1.Container, where string, _ bool) {
				for _, h := range handlersOf(c) {
					if h.port != nil && h.port.Type == intstr.String && !hasPort(c, h.port.StrVal, nil) {
						r.found(o, "%s: %s asks for the port %s, which the container doesn't name", where, strings.Join(h.name, "."), h.port.StrVal)
					}
				}
			})
		}
	}
}

// hasPort says whether a container names a port; a protocol that isn't written is
// TCP, and nil is any.
func hasPort(c *corev1.Container, name string, protocol any) bool {
	return slices.ContainsFunc(c.Ports, func(p corev1.ContainerPort) bool {
		return p.Name == name && (protocol == nil || string(cmp.Or(p.Protocol, corev1.ProtocolTCP)) == protocol)
	})
}

// named says whether a container of the object's pods names a port.
func (o *object) named(port, protocol string) bool {
	named := o.partial
	o.containers(func(c *corev1.Container, _ string, _ bool) {
		named = named || hasPort(c, port, cmp.Or(protocol, "TCP"))
	})
	return named
}

// policyPorts looks for the ports that a NetworkPolicy opens by name.
func (r *run) policyPorts(o *object) {
	policy, _ := as[networkingv1.NetworkPolicy](o.value)
	for _, rule := range policy.Spec.Ingress {
		for _, port := range rule.Ports {
			if port.Port == nil || port.Port.Type != intstr.String {
				continue
			}
			protocol := corev1.ProtocolTCP
			if port.Protocol != nil {
				protocol = *port.Protocol
			}
			selected := func(p *object) bool { return p.pod != nil && p.namespace == o.namespace && o.selects(p.pod.Labels) }
			if slices.ContainsFunc(r.objects, selected) && !slices.ContainsFunc(r.objects, func(p *object) bool {
				return selected(p) && p.named(port.Port.StrVal, string(protocol))
			}) {
				r.found(o, "opens the %s port %s, which no container of the pods that it selects names", protocol, port.Port.StrVal)
			}
		}
	}
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
		protocol, _ := port["protocol"].(string)
		named := false
		var served []string
		for _, o := range pods {
			if o.hooks() != nil || o.is("Job", "CronJob") { // with the labels of what they work for
				continue
			}
			served = append(served, o.String())
			named = named || o.named(name, protocol)
		}
		if served != nil && !named {
			r.found(service, "leads to the %s port %s, which no container of %s names", cmp.Or(protocol, "TCP"), name, strings.Join(served, " or "))
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
		if o.is(kind) && o.name == name && (o.namespace == namespace || kind == "ClusterRole") {
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
	// inside is what mounts take out of a volume by its key.
	inside := func(volume, kind, name string, optional *bool) {
		o.containers(func(c *corev1.Container, _ string, _ bool) {
			for _, mount := range c.VolumeMounts {
				if key, _, _ := strings.Cut(mount.SubPath, "/"); mount.Name == volume && key != "" {
					add(kind, name, key, optional)
				}
			}
		})
	}
	items := func(kind, name string, keys []corev1.KeyToPath, optional *bool) {
		add(kind, name, "", optional)
		for _, item := range keys {
			add(kind, name, item.Key, optional)
		}
	}
	for _, v := range o.pod.Spec.Volumes {
		if v.Secret != nil {
			items("Secret", v.Secret.SecretName, v.Secret.Items, v.Secret.Optional)
			if v.Secret.Items == nil {
				inside(v.Name, "Secret", v.Secret.SecretName, v.Secret.Optional)
			}
		}
		if v.ConfigMap != nil {
			items("ConfigMap", v.ConfigMap.Name, v.ConfigMap.Items, v.ConfigMap.Optional)
			if v.ConfigMap.Items == nil {
				inside(v.Name, "ConfigMap", v.ConfigMap.Name, v.ConfigMap.Optional)
			}
		}
		if v.PersistentVolumeClaim != nil {
			add("PersistentVolumeClaim", v.PersistentVolumeClaim.ClaimName, "", nil)
		}
		if v.CSI != nil && v.CSI.NodePublishSecretRef != nil {
			add("Secret", v.CSI.NodePublishSecretRef.Name, "", nil)
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

// everywhere is what Kubernetes puts into each cluster and namespace by itself.
var everywhere = []Provided{{Kind: "ConfigMap", Name: "kube-root-ca.crt", Keys: []string{"ca.crt"}},
	{Kind: "Role", Name: "extension-apiserver-authentication-reader"},
	{Kind: "ClusterRole", Name: "cluster-admin"}, {Kind: "ClusterRole", Name: "admin"}, {Kind: "ClusterRole", Name: "edit"}, {Kind: "ClusterRole", Name: "view"}}

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
		needs := o.names()
		if o.pod != nil {
			needs = append(needs, o.needs()...)
		}
		var told []need
		for _, n := range needs {
			n.key = ""
			if slices.Contains(told, n) || r.find(n.kind, n.name, o.namespace) != nil || r.provided(n.kind, n.name) != nil || r.makes(n, o.namespace) {
				continue
			}
			told = append(told, n)
			r.found(o, "needs the %s %s, which the release doesn't bring", n.kind, n.name)
		}
	}
}

// names lists what an object names beside what its pods need.
func (o *object) names() (list []need) {
	spec, _ := o.value["spec"].(map[string]any)
	add := func(kind, name any) {
		if text, _ := name.(string); text != "" && !strings.HasPrefix(text, "system:") { // Kubernetes' own
			list = append(list, need{kind: fmt.Sprint(kind), name: text})
		}
	}
	switch {
	case o.is("StatefulSet"):
		add("Service", spec["serviceName"])
	case o.is("HorizontalPodAutoscaler"):
		target, _ := spec["scaleTargetRef"].(map[string]any)
		if version, _ := target["apiVersion"].(string); groupOf(version) == "apps" {
			add(target["kind"], target["name"])
		}
	case o.is("RoleBinding", "ClusterRoleBinding"):
		role, _ := o.value["roleRef"].(map[string]any)
		add(role["kind"], role["name"])
		subjects, _ := o.value["subjects"].([]any)
		for _, s := range subjects {
			subject, _ := s.(map[string]any)
			namespace := subject["namespace"]
			if subject["kind"] == "ServiceAccount" && subject["name"] != "default" && (namespace == nil || namespace == o.namespace) {
				add("ServiceAccount", subject["name"])
			}
		}
	}
	return list
}

// makes says whether an operator makes a Secret for an object of the release.
func (r *run) makes(n need, namespace string) bool {
	return n.kind == "Secret" && slices.ContainsFunc(r.objects, func(o *object) bool {
		name := o.name
		switch groupOf(o.apiVersion) + " " + o.kind {
		case "cert-manager.io Certificate":
			name, _, _ = unstructured.NestedString(o.value, "spec", "secretName")
		case "external-secrets.io ExternalSecret":
			if target, _, _ := unstructured.NestedString(o.value, "spec", "target", "name"); target != "" {
				name = target
			}
		case "bitnami.com SealedSecret":
		default:
			return false
		}
		return name == n.name && o.namespace == namespace
	})
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
