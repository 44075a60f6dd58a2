package kube

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"
)

func TestStatusTellsWhatKubernetesAndContainersSay(t *testing.T) {
	var crashing, good corev1.Pod
	load(t, "crashing.yaml", &appsv1.DaemonSet{}, &crashing, &good, &corev1.Event{})
	good.Spec.NodeName = "lost"
	waiting := crashing.DeepCopy()
	waiting.Name, waiting.Spec.NodeName, waiting.Status = "nas-c", "", corev1.PodStatus{Conditions: []corev1.PodCondition{
		{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Message: "0/2 nodes are available"},
	}}
	c := &Cluster{Client: fake.NewClientset(&crashing, &good, waiting,
		node("lost", corev1.ConditionUnknown, nil), node("node-2", corev1.ConditionTrue, nil))}
	found, err := c.Containers(t.Context(), "app=nas")
	require.NoError(t, err)
	require.Equal(t, []Container{
		{Node: "lost", Pod: "nas-a", Problems: []string{"the node isn't Ready: KubeletNotReady, the network plugin isn't there"}},
		{Node: "no node", Pod: "nas-c", Problems: []string{"0/2 nodes are available"}},
		{Node: "node-2", Pod: "nas-b", Name: "samba", Restarts: 4, Problems: []string{"CrashLoopBackOff, ended with exit code 75 before", "said: fake logs"}},
		{Node: "node-2", Pod: "nas-b", Name: "nfs", Ready: true, Problems: []string{}},
	}, found)
}

func TestPodThatRunsAndIsNotReadySaysSoAndSinceWhen(t *testing.T) {
	var pod corev1.Pod
	load(t, "crashing.yaml", &appsv1.DaemonSet{}, &corev1.Pod{}, &pod, &corev1.Event{})
	pod.Status.Conditions[0].Status = corev1.ConditionFalse
	pod.Status.Conditions[0].LastTransitionTime = metav1.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	pod.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "samba", Ready: true, State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}}}
	c := &Cluster{Client: fake.NewClientset(&pod, node("node-1", corev1.ConditionTrue, nil))}
	found, err := c.Containers(t.Context(), "app=nas")
	require.NoError(t, err)
	require.Equal(t, []Container{
		{Node: "node-1", Pod: "nas-a", Name: "samba", Ready: true, Problems: []string{}},
		{Node: "node-1", Pod: "nas-a", Problems: []string{"not ready since 2026-01-02T03:04:05Z"}},
	}, found)
}
