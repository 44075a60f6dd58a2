package kube

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/tmorin/homecloud/internal/complaint"
)

const (
	logLines   = 5
	eventLines = 3
)

// summary is one line about what is waited for, with the first pod's reason.
func (c *Cluster) summary(ctx context.Context, open []rollout) string {
	text := open[0].progress()
	for _, pod := range c.pods(ctx, open[0]) {
		reasons := podReasons(&pod)
		if len(reasons) == 0 {
			continue
		}
		why := reasons[0].text
		if reasons[0].container != "" && !reasons[0].previous {
			for _, complaint := range c.Complaints(ctx, &pod, reasons[0].container) {
				why += ": " + complaint.Because
			}
		}
		text += fmt.Sprintf(" (%s: %s)", place(&pod), why)
		break
	}
	if len(open) > 1 {
		text += fmt.Sprintf("; and %d more", len(open)-1)
	}
	return text
}

// diagnose tells why workloads aren't ready, for a person who has to repair it.
func (c *Cluster) diagnose(ctx context.Context, open []rollout) string {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	var b strings.Builder
	for _, r := range open {
		fmt.Fprintf(&b, "%s\n", r.progress())
		pods := c.pods(ctx, r)
		if len(pods) == 0 {
			b.WriteString("  it has no pod yet\n")
			c.writeEvents(ctx, &b, r.Namespace, r.Kind, r.Name)
		}
		for _, pod := range pods {
			for _, reason := range podReasons(&pod) {
				fmt.Fprintf(&b, "  pod %s on %s: %s\n", pod.Name, place(&pod), reason.text)
				if reason.container != "" {
					c.writeLog(ctx, &b, &pod, reason)
				}
			}
			if !podReady(&pod) {
				c.writeEvents(ctx, &b, pod.Namespace, "Pod", pod.Name)
			}
		}
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// lacksImage says whether a pod's image can't be pulled.
func (c *Cluster) lacksImage(ctx context.Context, open []rollout) bool {
	for _, r := range open {
		for _, pod := range c.pods(ctx, r) {
			if slices.ContainsFunc(podReasons(&pod), func(r reason) bool { return r.image }) {
				return true
			}
		}
	}
	return false
}

func place(pod *corev1.Pod) string {
	if pod.Spec.NodeName == "" {
		return "no node"
	}
	return pod.Spec.NodeName
}

func (c *Cluster) pods(ctx context.Context, r rollout) []corev1.Pod {
	selector, err := metav1.LabelSelectorAsSelector(r.selector)
	if err != nil || selector.Empty() {
		return nil
	}
	list, err := c.Client.CoreV1().Pods(r.Namespace).List(ctx, metav1.ListOptions{LabelSelector: selector.String()})
	if err != nil {
		return nil // what failed before is the news, not this
	}
	slices.SortFunc(list.Items, func(a, b corev1.Pod) int { return strings.Compare(place(&a)+a.Name, place(&b)+b.Name) })
	return list.Items
}

func podReady(pod *corev1.Pod) bool {
	return slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
}

// reason is why a pod isn't ready.
type reason struct {
	text      string
	container string // whose log may tell more
	previous  bool   // the log of the container before its restart
	image     bool   // its image can't be pulled
}

func podReasons(pod *corev1.Pod) []reason {
	if podReady(pod) || pod.Status.Phase == corev1.PodSucceeded {
		return nil
	}
	if pod.DeletionTimestamp != nil {
		return []reason{{text: "is ending"}}
	}
	var reasons []reason
	for _, status := range slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses) {
		if r, ok := containerReason(status); ok {
			reasons = append(reasons, r)
		}
	}
	if len(reasons) > 0 {
		return reasons
	}
	for _, condition := range pod.Status.Conditions {
		if condition.Status == corev1.ConditionFalse && condition.Message != "" {
			reasons = append(reasons, reason{text: condition.Message})
		}
	}
	if len(reasons) == 0 && pod.Status.Phase == corev1.PodRunning && pod.Status.Reason+pod.Status.Message == "" {
		// Its kubelet hasn't told yet that it serves again, as after a lost network.
		reasons = append(reasons, reason{text: "not ready" + unreadySince(pod)})
	}
	if len(reasons) == 0 {
		reasons = append(reasons, reason{text: strings.TrimSpace(string(pod.Status.Phase) + " " + pod.Status.Reason + " " + pod.Status.Message)})
	}
	return reasons[:1]
}

// unreadySince is since when a pod isn't ready, where the cluster knows.
func unreadySince(pod *corev1.Pod) string {
	for _, condition := range pod.Status.Conditions {
		if condition.Type == corev1.PodReady && !condition.LastTransitionTime.IsZero() {
			return " since " + condition.LastTransitionTime.UTC().Format(time.RFC3339)
		}
	}
	return ""
}

func containerReason(s corev1.ContainerStatus) (reason, bool) {
	before := ""
	if t := s.LastTerminationState.Terminated; t != nil {
		before = fmt.Sprintf(", ended with exit code %d before", t.ExitCode)
	}
	switch {
	case s.State.Waiting != nil:
		w := s.State.Waiting
		if w.Reason == "PodInitializing" {
			return reason{}, false // it waits for another container, which is named
		}
		if w.Reason == "ContainerCreating" {
			return reason{text: fmt.Sprintf("container %s is being created", s.Name)}, true
		}
		if w.Reason == "ErrImagePull" || w.Reason == "ImagePullBackOff" {
			// Kubernetes goes back and forth between the two; the events tell why.
			return reason{text: fmt.Sprintf("container %s: the image %s can't be pulled", s.Name, s.Image), image: true}, true
		}
		text := fmt.Sprintf("container %s: %s%s", s.Name, w.Reason, before)
		if before == "" && w.Message != "" {
			text += ": " + w.Message
		}
		return reason{text: text, container: s.Name, previous: before != ""}, true
	case s.State.Terminated != nil && s.State.Terminated.ExitCode != 0:
		return reason{text: fmt.Sprintf("container %s ended with exit code %d", s.Name, s.State.Terminated.ExitCode), container: s.Name}, true
	case s.State.Running != nil && !s.Ready && s.Started != nil && !*s.Started:
		return reason{text: fmt.Sprintf("container %s is starting%s", s.Name, before), container: s.Name}, true
	case s.State.Running != nil && !s.Ready:
		return reason{text: fmt.Sprintf("container %s runs but isn't ready%s", s.Name, before), container: s.Name}, true
	}
	return reason{}, false
}

func (c *Cluster) writeLog(ctx context.Context, b *strings.Builder, pod *corev1.Pod, r reason) {
	for _, line := range c.lastLines(ctx, pod, r, logLines) {
		fmt.Fprintf(b, "    | %s\n", line)
	}
}

// lastLines are those of the log of a container that isn't ready; one that never
// ran has none.
func (c *Cluster) lastLines(ctx context.Context, pod *corev1.Pod, r reason, lines int64) []string {
	text, err := c.Client.CoreV1().Pods(pod.Namespace).GetLogs(pod.Name, &corev1.PodLogOptions{
		Container: r.container, TailLines: &lines, Previous: r.previous,
	}).DoRaw(ctx)
	if err != nil || len(bytes.TrimSpace(text)) == 0 {
		return nil
	}
	return strings.Split(strings.TrimRight(string(text), "\n"), "\n")
}

// complaintLines are how many lines of a log are searched for complaints.
const complaintLines = 1000

// Complaints returns what a running container says is wrong now, such as why its
// gate is closed. A log that can't be had tells nothing.
func (c *Cluster) Complaints(ctx context.Context, pod *corev1.Pod, container string) []complaint.Complaint {
	log, err := c.Client.CoreV1().Pods(pod.Namespace).GetLogs(pod.Name, &corev1.PodLogOptions{
		Container: container, TailLines: new(int64(complaintLines)),
	}).DoRaw(ctx)
	if err != nil {
		return nil
	}
	return complaint.Open(log)
}

// writeEvents writes the last warnings about an object.
func (c *Cluster) writeEvents(ctx context.Context, b *strings.Builder, namespace, kind, name string) {
	list, err := c.Client.CoreV1().Events(namespace).List(ctx, metav1.ListOptions{
		FieldSelector: "type=Warning,involvedObject.kind=" + kind + ",involvedObject.name=" + name,
	})
	if err != nil {
		return
	}
	events := list.Items
	slices.SortFunc(events, func(a, b corev1.Event) int { return happened(a).Compare(happened(b)) })
	for _, event := range events[max(0, len(events)-eventLines):] {
		fmt.Fprintf(b, "    event: %s: %s\n", event.Reason, strings.ReplaceAll(strings.TrimSpace(event.Message), "\n", " "))
	}
}

// happened is when an event was seen last; its form depends on who reported it.
func happened(e corev1.Event) time.Time {
	if !e.LastTimestamp.IsZero() {
		return e.LastTimestamp.Time
	}
	return e.EventTime.Time
}

// Explain tells why workloads aren't done, or nothing when they are or aren't
// there.
func (c *Cluster) Explain(ctx context.Context, workloads []Workload) string {
	var open []rollout
	for _, w := range workloads {
		if r, err := c.rollout(ctx, w); err == nil && !r.done {
			open = append(open, r)
		}
	}
	if len(open) == 0 {
		return ""
	}
	return c.diagnose(ctx, open)
}
