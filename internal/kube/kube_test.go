package kube

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"
)

func node(name string, ready corev1.ConditionStatus, labels map[string]string) *corev1.Node {
	return &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels},
		Status: corev1.NodeStatus{Conditions: []corev1.NodeCondition{
			{Type: corev1.NodeReady, Status: ready, Reason: "KubeletNotReady", Message: "the network plugin isn't there"},
		}},
	}
}

func TestEveryProblemOfTheNodesIsTold(t *testing.T) {
	c := &Cluster{Client: fake.NewClientset(
		node("node-1", corev1.ConditionTrue, map[string]string{"homecloud/dnas": "true"}),
		node("node-2", corev1.ConditionFalse, nil),
		node("other", corev1.ConditionFalse, nil),
	)}
	label := map[string]string{"homecloud/dnas": "true"}
	beside := func(nodes []string) string {
		if len(nodes) == 0 {
			return ""
		}
		return ", without " + strings.Join(nodes, "+")
	}
	require.NoError(t, c.CheckNodes(t.Context(), map[string]map[string]string{"node-1": label}, beside))
	require.EqualError(t, c.CheckNodes(t.Context(), map[string]map[string]string{"node-1": label, "node-2": label, "node-3": nil}, beside),
		"node node-2 isn't Ready: KubeletNotReady, the network plugin isn't there; bring it back, or take it out of the cluster file until it is, without node-2+node-3\n"+
			"node node-2 lacks the label homecloud/dnas=true; once its data disk is adopted: kubectl label node node-2 homecloud/dnas=true\n"+
			"node node-3 isn't in the cluster, which has node-1, node-2 and other; join the board, or take it out of the cluster file, without node-2+node-3")
}

func TestOnlyOneRunHoldsTheLock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &Cluster{Client: fake.NewClientset()}
		release, err := c.Lock(t.Context(), "cloud")
		require.NoError(t, err)
		_, err = c.Lock(t.Context(), "cloud")
		require.ErrorContains(t, err, "namespace cloud: another hcchart is at work (")
		begin := time.Now()
		go func() {
			time.Sleep(5 * time.Second)
			release()
		}()
		release, err = c.Lock(t.Context(), "cloud")
		require.NoError(t, err, "the other ends meanwhile")
		require.Less(t, time.Since(begin), lockRenew)
		release()
	})
}

// By the clock of this machine alone: that of the one that died may have been
// behind or ahead.
func TestTheLockOfADeadRunExpires(t *testing.T) {
	for _, renewed := range []time.Duration{-time.Hour, 0, 1000 * time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			holder, then := "board, process 1", metav1.NewMicroTime(time.Now().Add(renewed))
			c := &Cluster{Client: fake.NewClientset(&coordinationv1.Lease{
				ObjectMeta: metav1.ObjectMeta{Namespace: "cloud", Name: lockName},
				Spec:       coordinationv1.LeaseSpec{HolderIdentity: &holder, RenewTime: &then},
			})}
			begin := time.Now()
			release, err := c.Lock(t.Context(), "cloud")
			require.NoError(t, err)
			require.Equal(t, lockLife, time.Since(begin).Round(time.Second))
			release()
			_, err = c.Client.CoordinationV1().Leases("cloud").Get(t.Context(), lockName, metav1.GetOptions{})
			require.ErrorContains(t, err, "not found")
		})
	}
}

func TestNamespaceIsMadeAndLabelledOnce(t *testing.T) {
	c := &Cluster{Client: fake.NewClientset()}
	labels := map[string]string{"pod-security.kubernetes.io/enforce": "privileged"}
	change, err := c.EnsureNamespace(t.Context(), "cloud", labels, true)
	require.NoError(t, err)
	require.Equal(t, "create", change)
	there, err := c.HasNamespace(t.Context(), "cloud")
	require.NoError(t, err)
	require.False(t, there, "looking changes nothing")

	for _, want := range []string{"create", ""} {
		change, err = c.EnsureNamespace(t.Context(), "cloud", labels, false)
		require.NoError(t, err)
		require.Equal(t, want, change)
	}
	change, err = c.EnsureNamespace(t.Context(), "cloud", map[string]string{"more": "labels"}, false)
	require.NoError(t, err)
	require.Equal(t, "label", change)
}

func TestSurplusKeysAreTakenOut(t *testing.T) {
	live := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "cloud", Name: "users"}, Data: map[string][]byte{"alice": {1}, "bob": {2}, "carol": {3}}}
	c := &Cluster{Client: fake.NewClientset(live)}
	wanted := &corev1.Secret{ObjectMeta: live.ObjectMeta, Data: map[string][]byte{"alice": {9}, "dave": {4}}}
	changes, err := c.KeyChanges(t.Context(), wanted)
	require.NoError(t, err)
	require.Equal(t, KeyChanges{Added: []string{"dave"}, Changed: []string{"alice"}, Surplus: []string{"bob", "carol"}}, changes)
	require.Equal(t, "add dave, change alice, remove bob, remove carol", changes.String())
	require.NoError(t, c.RemoveKeys(t.Context(), wanted, changes.Surplus))
	now, err := c.Client.CoreV1().Secrets("cloud").Get(t.Context(), "users", metav1.GetOptions{})
	require.NoError(t, err)
	require.Equal(t, map[string][]byte{"alice": {1}}, now.Data)

	absent := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "cloud", Name: "absent"}}
	changes, err = c.KeyChanges(t.Context(), absent)
	require.NoError(t, err)
	require.Empty(t, changes)
}

func TestConnectWithoutAKubeconfigSaysSo(t *testing.T) {
	t.Setenv("KUBECONFIG", t.TempDir()+"/absent")
	_, err := Connect("", "")
	require.EqualError(t, err, "no kubeconfig names a cluster; give --kubeconfig FILE, or set KUBECONFIG")
}
