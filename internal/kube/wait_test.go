package kube

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
	"sigs.k8s.io/yaml"
)

// load reads objects of the given types, in the order of a file's documents.
func load(t *testing.T, name string, into ...runtime.Object) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name))
	require.NoError(t, err)
	documents := strings.Split(string(text), "\n---\n")
	require.Len(t, documents, len(into))
	for i, document := range documents {
		require.NoError(t, yaml.UnmarshalStrict([]byte(document), into[i]))
	}
}

func TestWorkloadsOfAManifest(t *testing.T) {
	found, err := Workloads(`---
# Source: x
apiVersion: v1
kind: ConfigMap
metadata: {name: c}
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: d}
---

---
apiVersion: batch/v1
kind: Job
metadata: {name: j, namespace: elsewhere}
`, "cloud")
	require.NoError(t, err)
	require.Equal(t, []Workload{{"DaemonSet", "cloud", "d"}, {"Job", "elsewhere", "j"}}, found)
}

func TestRolloutIsDoneWhenEveryPodIsNewAndAvailable(t *testing.T) {
	daemonSet := func(edit func(*appsv1.DaemonSet)) rollout {
		o := &appsv1.DaemonSet{}
		o.Generation = 2
		o.Status = appsv1.DaemonSetStatus{ObservedGeneration: 2, DesiredNumberScheduled: 2, UpdatedNumberScheduled: 2, NumberAvailable: 2}
		edit(o)
		return daemonSetRollout(Workload{}, o)
	}
	deployment := func(edit func(*appsv1.Deployment)) rollout {
		o := &appsv1.Deployment{}
		o.Generation = 2
		o.Status = appsv1.DeploymentStatus{ObservedGeneration: 2, Replicas: 1, UpdatedReplicas: 1, AvailableReplicas: 1}
		edit(o)
		return deploymentRollout(Workload{}, o)
	}
	statefulSet := func(edit func(*appsv1.StatefulSet)) rollout {
		o := &appsv1.StatefulSet{}
		o.Generation = 2
		o.Status = appsv1.StatefulSetStatus{ObservedGeneration: 2, UpdatedReplicas: 1, AvailableReplicas: 1}
		edit(o)
		return statefulSetRollout(Workload{}, o)
	}
	for name, test := range map[string]struct {
		got  rollout
		done bool
	}{
		"daemon set":                            {daemonSet(func(*appsv1.DaemonSet) {}), true},
		"daemon set, new form not seen yet":     {daemonSet(func(o *appsv1.DaemonSet) { o.Status.ObservedGeneration = 1 }), false},
		"daemon set, a former pod still serves": {daemonSet(func(o *appsv1.DaemonSet) { o.Status.UpdatedNumberScheduled = 1 }), false},
		"daemon set, a pod isn't available":     {daemonSet(func(o *appsv1.DaemonSet) { o.Status.NumberAvailable = 1 }), false},
		"daemon set that updates on delete": {daemonSet(func(o *appsv1.DaemonSet) {
			o.Status.UpdatedNumberScheduled = 0
			o.Spec.UpdateStrategy.Type = "OnDelete"
		}), true},
		"deployment":                             {deployment(func(*appsv1.Deployment) {}), true},
		"deployment, new form not seen yet":      {deployment(func(o *appsv1.Deployment) { o.Status.ObservedGeneration = 1 }), false},
		"deployment, a former pod hasn't ended":  {deployment(func(o *appsv1.Deployment) { o.Status.Replicas = 2 }), false},
		"deployment, only former pods available": {deployment(func(o *appsv1.Deployment) { o.Status.UpdatedReplicas = 0 }), false},
		"stateful set":                           {statefulSet(func(*appsv1.StatefulSet) {}), true},
		"stateful set, a pod isn't available":    {statefulSet(func(o *appsv1.StatefulSet) { o.Status.AvailableReplicas = 0 }), false},
		"job that runs":                          {jobRollout(Workload{}, &batchv1.Job{}), false},
		"job that completed": {jobRollout(Workload{}, &batchv1.Job{Status: batchv1.JobStatus{
			Conditions: []batchv1.JobCondition{{Type: batchv1.JobComplete, Status: corev1.ConditionTrue}},
		}}), true},
	} {
		require.Equal(t, test.done, test.got.done, name)
	}
}

func TestTimeOutNamesPodContainerEventAndLog(t *testing.T) {
	var set appsv1.DaemonSet
	var crashing, good, event = corev1.Pod{}, corev1.Pod{}, corev1.Event{}
	load(t, "crashing.yaml", &set, &crashing, &good, &event)
	synctest.Test(t, func(t *testing.T) {
		c := &Cluster{Client: fake.NewClientset(&set, &crashing, &good, &event)}
		var told []string
		_, err := c.Wait(t.Context(), []Workload{{"DaemonSet", "cloud", "nas"}}, 3*time.Second, func(text string) { told = append(told, text) })
		require.EqualError(t, err, `not usable after 3s
DaemonSet nas: 1 of 2 ready
  pod nas-b on node-2: container samba: CrashLoopBackOff, ended with exit code 75 before
    | fake logs
    event: BackOff: Back-off restarting failed container`)
		require.Equal(t, "DaemonSet nas: 1 of 2 ready (node-2: container samba: CrashLoopBackOff, ended with exit code 75 before)", told[0])
	})
}

func TestWaitEndsWhenAnImageStaysAway(t *testing.T) {
	var set appsv1.DaemonSet
	var pod corev1.Pod
	load(t, "crashing.yaml", &set, &pod, &corev1.Pod{}, &corev1.Event{})
	pod.Status.ContainerStatuses[0].State.Waiting.Reason = "ImagePullBackOff"
	synctest.Test(t, func(t *testing.T) {
		c := &Cluster{Client: fake.NewClientset(&set, &pod)}
		begin := time.Now()
		_, err := c.Wait(t.Context(), []Workload{{"DaemonSet", "cloud", "nas"}}, time.Hour, func(string) {})
		require.ErrorContains(t, err, "for 2m0s an image couldn't be pulled")
		require.ErrorContains(t, err, "pod nas-b on node-2: container samba: the image nas can't be pulled")
		require.Equal(t, pullPatience, time.Since(begin))
	})
}

func TestWaitEndsWhenInterrupted(t *testing.T) {
	var set appsv1.DaemonSet
	load(t, "crashing.yaml", &set, &corev1.Pod{}, &corev1.Pod{}, &corev1.Event{})
	synctest.Test(t, func(t *testing.T) {
		c := &Cluster{Client: fake.NewClientset(&set)}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		_, err := c.Wait(ctx, []Workload{{"DaemonSet", "cloud", "nas"}}, time.Hour, func(string) {})
		require.ErrorIs(t, err, context.DeadlineExceeded)
	})
}

func TestFailedJobEndsTheWait(t *testing.T) {
	job := &batchv1.Job{}
	job.Namespace, job.Name = "cloud", "check"
	job.Status.Conditions = []batchv1.JobCondition{{Type: batchv1.JobFailed, Status: corev1.ConditionTrue}}
	c := &Cluster{Client: fake.NewClientset(job)}
	_, err := c.Wait(t.Context(), []Workload{{"Job", "cloud", "check"}}, time.Hour, func(string) {})
	require.ErrorContains(t, err, "Job check failed")
}

func TestDeletedObjectEndsTheWait(t *testing.T) {
	c := &Cluster{Client: fake.NewClientset()}
	_, err := c.Wait(t.Context(), []Workload{{"Deployment", "cloud", "gone"}}, time.Hour, func(string) {})
	require.ErrorContains(t, err, "it was deleted from outside")
}

func TestBothWordsForAnImageThatCantBePulledAreOneLine(t *testing.T) {
	texts := map[string]bool{}
	for reason, message := range map[string]string{"ErrImagePull": "not found", "ImagePullBackOff": "Back-off pulling image"} {
		r, ok := containerReason(corev1.ContainerStatus{Name: "samba", Image: "nas:1",
			State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}}})
		require.True(t, ok)
		texts[r.text] = true
	}
	require.Equal(t, map[string]bool{"container samba: the image nas:1 can't be pulled": true}, texts)
}

// waitForDisk waits, an hour at most, for two boards' pods of which one says
// that its disk isn't there, and returns how long that took.
func waitForDisk(t *testing.T, edit func(*appsv1.DaemonSet, *corev1.Pod)) (told []string, lasted time.Duration, err error) {
	t.Helper()
	var set appsv1.DaemonSet
	var held, good corev1.Pod
	load(t, "diskless.yaml", &set, &held, &good)
	edit(&set, &held)
	synctest.Test(t, func(t *testing.T) {
		client := fake.NewClientset(&set, &held, &good)
		client.PrependReactor("get", "pods", func(action clienttesting.Action) (bool, runtime.Object, error) {
			if action.GetSubresource() != "log" {
				return false, nil, nil
			}
			return true, &runtime.Unknown{Raw: []byte(`level=WARN msg="gate closed" about=gate because="no disk at /srv/homecloud/data: nothing is mounted there"`)}, nil
		})
		begin := time.Now()
		_, err = (&Cluster{Client: client}).Wait(t.Context(), []Workload{{"DaemonSet", "cloud", "nas"}}, time.Hour, func(text string) { told = append(told, text) })
		lasted = time.Since(begin)
	})
	return told, lasted, err
}

func TestWaitEndsWhenNothingButADiskIsMissing(t *testing.T) {
	told, lasted, err := waitForDisk(t, func(*appsv1.DaemonSet, *corev1.Pod) {})
	require.EqualError(t, err, "done on the other boards; node-2: no disk at /srv/homecloud/data: nothing is mounted there: bring it back, the board then goes on by itself")
	require.Equal(t, diskPatience, lasted)
	const waits = "DaemonSet nas: 1 of 2 ready (node-2: container samba runs but isn't ready: no disk at /srv/homecloud/data: nothing is mounted there)"
	require.Equal(t, []string{waits + "; for 1m0s more", waits + "; for 59s more"}, told[:2])
}

func TestBoardsThatWaitForAnothersDiskAreNotCalledDone(t *testing.T) {
	_, lasted, err := waitForDisk(t, func(set *appsv1.DaemonSet, _ *corev1.Pod) { set.Status.UpdatedNumberScheduled = 1 })
	require.EqualError(t, err, "not usable: node-2: no disk at /srv/homecloud/data: nothing is mounted there: bring it back, the board then goes on by itself, and what the others run becomes new only then")
	require.Equal(t, diskPatience, lasted)
}

func TestMissingDiskEndsNoWaitForSomethingElse(t *testing.T) {
	for name, edit := range map[string]func(*appsv1.DaemonSet, *corev1.Pod){
		"another container starts": func(_ *appsv1.DaemonSet, held *corev1.Pod) {
			held.Status.ContainerStatuses[1].Ready = false
			held.Status.ContainerStatuses[1].State = corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ContainerCreating"}}
		},
		"a pod isn't there yet":    func(set *appsv1.DaemonSet, _ *corev1.Pod) { set.Status.DesiredNumberScheduled = 3 },
		"the new form isn't known": func(set *appsv1.DaemonSet, _ *corev1.Pod) { set.Generation++ },
	} {
		_, lasted, err := waitForDisk(t, edit)
		require.ErrorContains(t, err, "not usable after 1h0m0s", name)
		require.GreaterOrEqual(t, lasted, time.Hour, name)
	}
}
