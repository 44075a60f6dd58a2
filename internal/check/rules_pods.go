package check

import (
	"fmt"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"

	"github.com/tmorin/homecloud/internal/chart"
	"github.com/tmorin/homecloud/internal/imageset"
)

var podRules = []Rule{
	{ID: "image-pinned", Severity: Error, Summary: "Images have a version",
		Why:  "`latest`, or no tag, is another program tomorrow, on one board and not on the next",
		Mend: "write a tag that isn't moved, or a digest", check: checkPinned},
	{ID: "resources", Severity: Warning, Summary: "Containers say how much memory and processor they need, and how much memory they may take",
		Why:  "one container without a limit takes a small board down with it; without requests the scheduler overfills boards",
		Mend: "set resources.requests.cpu, resources.requests.memory and resources.limits.memory", check: eachContainer(checkResources)},
	{ID: "probes", Severity: Warning, Summary: "Containers that serve say when they are ready",
		Why:  "traffic reaches what hasn't started, and an upgrade goes on although the new version doesn't work",
		Mend: "add a readinessProbe", check: eachContainer(checkProbes)},
	{ID: "run-as-non-root", Severity: Warning, Summary: "Containers don't run as root",
		Why:  "whoever breaks out of the container is root on the board",
		Mend: "set runAsNonRoot: true, or a runAsUser, in the container's or the pod's securityContext", check: eachContainer(checkNonRoot)},
	{ID: "read-only-root", Severity: Warning, Summary: "Containers can't change their own files",
		Why:  "what an attacker leaves behind there stays and runs",
		Mend: "set readOnlyRootFilesystem: true and mount an emptyDir where it has to write", check: eachContainer(checkReadOnly)},
	{ID: "privilege-escalation", Severity: Warning, Summary: "Containers can't gain privileges",
		Why:  "a program with the setuid bit makes root of anybody",
		Mend: "set allowPrivilegeEscalation: false", check: eachContainer(checkEscalation)},
	{ID: "capabilities", Severity: Warning, Summary: "Containers have no capabilities of root",
		Why:  "the default set lets a container change owners, bind low ports and send raw packets",
		Mend: "set capabilities: {drop: [ALL]}; NET_BIND_SERVICE may be added, any other with an annotation that says why", check: eachContainer(checkCapabilities)},
	{ID: "seccomp", Severity: Warning, Summary: "Containers are kept to the usual system calls",
		Why:  "most ways out of a container go through calls that no usual program makes",
		Mend: "set seccompProfile: {type: RuntimeDefault} in the pod's or the container's securityContext", check: eachContainer(checkSeccomp)},
	{ID: "privileged", Severity: Error, Summary: "No privileged containers",
		Why:  "it is root on the board",
		Mend: "give it the capability or the device it needs, or say why with an annotation", check: eachContainer(checkPrivileged)},
	{ID: "host-network", Severity: Error, Summary: "Pods have a network of their own",
		Why:  "NetworkPolicies don't hold it, and its ports are the board's",
		Mend: "use a Service, or say why with an annotation", check: eachPod(checkHostNetwork)},
	{ID: "host-namespaces", Severity: Error, Summary: "Pods don't see the board's processes",
		Why:  "it can watch and end every process of the board",
		Mend: "remove hostPID and hostIPC, or say why with an annotation", check: eachPod(checkHostNamespaces)},
	{ID: "host-path", Severity: Warning, Summary: "Pods don't use the board's files",
		Why:  "it is tied to that board, and may read or destroy what isn't its own",
		Mend: "use a PersistentVolumeClaim, or say why with an annotation", check: eachPod(checkHostPath)},
	{ID: "host-port", Severity: Warning, Summary: "Containers take no port of the board",
		Why:  "only one such pod fits on a board, and the port goes past the board's firewall",
		Mend: "use a Service", check: eachContainer(checkHostPort)},
	{ID: "service-account-token", Severity: Warning, Summary: "Pods that don't call Kubernetes have no token",
		Why:  "whoever breaks in can speak to the API server",
		Mend: "set automountServiceAccountToken: false, or give the account the role it needs in this chart", check: checkTokens},
	{ID: "network-policy", Severity: Warning, Summary: "A NetworkPolicy says who may reach each pod",
		Why:  "every other pod of the cluster can",
		Mend: "add a NetworkPolicy that selects the pod and names who may reach it, or which ports", check: whenComplete(checkPolicies)},
}

// eachContainer judges every container.
func eachContainer(judge func(o *object, c *corev1.Container, ends bool) string) func(*run) {
	return func(r *run) {
		for _, o := range r.objects {
			o.containers(func(c *corev1.Container, where string, ends bool) {
				if problem := judge(o, c, ends); problem != "" {
					r.found(o, "%s: %s", where, problem)
				}
			})
		}
	}
}

// eachPod judges the pods of every object.
func eachPod(judge func(pod *corev1.PodSpec) string) func(*run) {
	return func(r *run) {
		for _, o := range r.objects {
			if o.pod == nil {
				continue
			}
			if problem := judge(&o.pod.Spec); problem != "" {
				r.found(o, "%s", problem)
			}
		}
	}
}

// moving are tags that name another image tomorrow.
var moving = []string{"latest", "stable", "main", "master", "edge", "nightly", "dev", "develop", "unstable", "canary"}

func checkPinned(r *run) {
	for _, o := range r.objects {
		o.images(func(image, where string) {
			named, err := name.ParseReference(image, name.WithDefaultTag(""))
			if err != nil {
				r.found(o, "%s: the image %q is no reference: %v", where, image, err)
				return
			}
			switch tag, is := named.(name.Tag); {
			case !is: // a digest
			case tag.TagStr() == "":
				r.found(o, "%s: the image %s has no tag", where, image)
			case slices.Contains(moving, tag.TagStr()):
				r.found(o, "%s: the image %s moves", where, image)
			}
		})
	}
}

// images calls back for each image: of containers, of volumes, and those that
// an operator runs for a kind of its own.
func (o *object) images(found func(image, where string)) {
	o.containers(func(c *corev1.Container, where string, _ bool) { found(c.Image, where) })
	if o.pod != nil {
		for _, v := range o.pod.Spec.Volumes {
			if v.Image != nil {
				found(v.Image.Reference, "volume "+v.Name)
			}
		}
		return
	}
	if !strings.Contains(groupOf(o.apiVersion), ".") || o.is(o.kind) {
		return
	}
	var set imageset.Set
	if set.AddObjects([]chart.Document{{Source: o.source, Text: o.text}}) != nil {
		return // what is no reference may be anything else
	}
	for _, image := range set.Images(nil) {
		for _, component := range image.Components {
			for _, written := range image.Written {
				found(written, component.Container)
			}
		}
	}
}

func checkResources(_ *object, c *corev1.Container, _ bool) string {
	var missing []string
	for _, needed := range []struct {
		list corev1.ResourceList
		name corev1.ResourceName
		text string
	}{
		{c.Resources.Requests, corev1.ResourceCPU, "requests.cpu"}, {c.Resources.Requests, corev1.ResourceMemory, "requests.memory"},
		{c.Resources.Limits, corev1.ResourceMemory, "limits.memory"},
	} {
		_, has := needed.list[needed.name]
		if _, limited := c.Resources.Limits[needed.name]; !has && !limited { // a request that isn't written is the limit
			missing = append(missing, needed.text)
		}
	}
	if missing == nil {
		return ""
	}
	return "has no " + strings.Join(missing, ", no ")
}

func checkProbes(o *object, c *corev1.Container, ends bool) string {
	serves := len(c.Ports) > 0 || len(o.pod.Spec.Containers) == 1
	if ends || !serves || o.isTest() || c.ReadinessProbe != nil {
		return ""
	}
	return "has no readinessProbe"
}

// either reads a setting of the container or, without one, of its pod.
func either[T any](o *object, c *corev1.Container, own func(*corev1.SecurityContext) *T, pods func(*corev1.PodSecurityContext) *T) (value T, set bool) {
	if c.SecurityContext != nil {
		if v := own(c.SecurityContext); v != nil {
			return *v, true
		}
	}
	if o.pod.Spec.SecurityContext != nil && pods != nil {
		if v := pods(o.pod.Spec.SecurityContext); v != nil {
			return *v, true
		}
	}
	return value, false
}

func checkNonRoot(o *object, c *corev1.Container, _ bool) string {
	user, hasUser := either(o, c, func(s *corev1.SecurityContext) *int64 { return s.RunAsUser }, func(s *corev1.PodSecurityContext) *int64 { return s.RunAsUser })
	nonRoot, _ := either(o, c, func(s *corev1.SecurityContext) *bool { return s.RunAsNonRoot }, func(s *corev1.PodSecurityContext) *bool { return s.RunAsNonRoot })
	switch {
	case hasUser && user == 0:
		return "runs as root"
	case !hasUser && !nonRoot:
		return "may run as root: nothing says that it doesn't"
	}
	return ""
}

func checkReadOnly(o *object, c *corev1.Container, _ bool) string {
	if readOnly, _ := either(o, c, func(s *corev1.SecurityContext) *bool { return s.ReadOnlyRootFilesystem }, nil); readOnly {
		return ""
	}
	return "can change its own files"
}

func checkEscalation(o *object, c *corev1.Container, _ bool) string {
	allowed, says := either(o, c, func(s *corev1.SecurityContext) *bool { return s.AllowPrivilegeEscalation }, nil)
	if says && !allowed {
		return ""
	}
	return "can gain privileges"
}

func checkCapabilities(o *object, c *corev1.Container, _ bool) string {
	capabilities, _ := either(o, c, func(s *corev1.SecurityContext) *corev1.Capabilities { return s.Capabilities }, nil)
	if !slices.Contains(capabilities.Drop, "ALL") {
		return "keeps the default capabilities"
	}
	// The level restricted of Pod Security lets a container bind low ports.
	added := slices.DeleteFunc(slices.Clone(capabilities.Add), func(c corev1.Capability) bool { return c == "NET_BIND_SERVICE" })
	if len(added) > 0 {
		return fmt.Sprintf("adds %s", joined(added))
	}
	return ""
}

func joined[T ~string](list []T) string {
	var texts []string
	for _, entry := range list {
		texts = append(texts, string(entry))
	}
	return strings.Join(texts, ", ")
}

func checkSeccomp(o *object, c *corev1.Container, _ bool) string {
	profile, _ := either(o, c, func(s *corev1.SecurityContext) *corev1.SeccompProfile { return s.SeccompProfile },
		func(s *corev1.PodSecurityContext) *corev1.SeccompProfile { return s.SeccompProfile })
	if profile.Type == corev1.SeccompProfileTypeRuntimeDefault || profile.Type == corev1.SeccompProfileTypeLocalhost {
		return ""
	}
	return "may make any system call"
}

func checkPrivileged(o *object, c *corev1.Container, _ bool) string {
	if privileged, _ := either(o, c, func(s *corev1.SecurityContext) *bool { return s.Privileged }, nil); privileged {
		return "is privileged"
	}
	return ""
}

func checkHostPort(o *object, c *corev1.Container, _ bool) string {
	if o.pod.Spec.HostNetwork {
		return "" // its ports are the host's anyway
	}
	for _, port := range c.Ports {
		if port.HostPort != 0 {
			return fmt.Sprintf("takes port %d of the board", port.HostPort)
		}
	}
	return ""
}

func checkHostNetwork(pod *corev1.PodSpec) string {
	if pod.HostNetwork {
		return "uses the board's network"
	}
	return ""
}

func checkHostNamespaces(pod *corev1.PodSpec) string {
	if pod.HostPID || pod.HostIPC {
		return "sees the board's processes"
	}
	return ""
}

func checkHostPath(pod *corev1.PodSpec) string {
	var paths []string
	for _, volume := range pod.Volumes {
		if volume.HostPath != nil {
			paths = append(paths, volume.HostPath.Path)
		}
	}
	if paths == nil {
		return ""
	}
	return "uses " + strings.Join(paths, ", ") + " of the board"
}

func checkTokens(r *run) {
	bound := map[string]bool{}      // accounts that have a role in this release
	automounts := map[string]bool{} // what accounts of this release say of themselves
	for _, o := range r.objects {
		switch {
		case o.is("RoleBinding", "ClusterRoleBinding"):
			subjects, _ := o.value["subjects"].([]any)
			for _, s := range subjects {
				if s, is := s.(map[string]any); is && s["kind"] == "ServiceAccount" {
					bound[fmt.Sprint(s["name"])] = true
				}
			}
		case o.is("ServiceAccount"):
			if mounts, says := o.value["automountServiceAccountToken"].(bool); says {
				automounts[o.name] = mounts
			}
		}
	}
	for _, o := range r.objects {
		if o.pod == nil || o.partial {
			continue
		}
		spec := o.pod.Spec
		account := spec.ServiceAccountName
		if account == "" {
			account = "default"
		}
		mounts, says := automounts[account]
		if spec.AutomountServiceAccountToken != nil {
			mounts, says = *spec.AutomountServiceAccountToken, true
		}
		if (mounts || !says) && !bound[account] {
			r.found(o, "has a token of the account %s, which has no role in this release", account)
		}
	}
}

func checkPolicies(r *run) {
	for _, o := range r.objects {
		if o.pod == nil || o.pod.Spec.HostNetwork || o.isTest() {
			continue
		}
		says, open := false, ""
		for _, p := range r.objects {
			if !p.is("NetworkPolicy") || p.namespace != o.namespace || !p.selects(o.pod.Labels) {
				continue
			}
			policy, _ := as[networkingv1.NetworkPolicy](p.value)
			if types := policy.Spec.PolicyTypes; len(types) > 0 && !slices.Contains(types, networkingv1.PolicyTypeIngress) {
				continue
			}
			says = true
			if slices.ContainsFunc(policy.Spec.Ingress, func(rule networkingv1.NetworkPolicyIngressRule) bool {
				return len(rule.From) == 0 && len(rule.Ports) == 0
			}) {
				open = p.String()
			}
		}
		switch {
		case !says:
			r.found(o, "no NetworkPolicy of the type Ingress selects its pods")
		case open != "": // what one allows no other takes away
			r.found(o, "the %s lets everybody reach its pods", open)
		}
	}
}
