package values

import (
	"bytes"
	"errors"
	"io"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/yaml"

	"github.com/tmorin/homecloud/internal/chart"
	"github.com/tmorin/homecloud/internal/config"
)

// pods are what a chart's Deployments and DaemonSets run.
func pods(t *testing.T, cluster *config.Cluster, chartName string) []corev1.PodSpec {
	t.Helper()
	v, err := Chart(cluster, chartName, defaults(t))
	require.NoError(t, err)
	rendered, err := builtin(t, chartName).Render(chart.RenderOptions{Release: "homecloud", Namespace: "homecloud", Values: v.Map()})
	require.NoError(t, err)
	var found []corev1.PodSpec
	for decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader([]byte(rendered.Manifest)), 4096); ; {
		var object struct {
			Kind string `json:"kind"`
			Spec struct {
				Template struct {
					Spec corev1.PodSpec `json:"spec"`
				} `json:"template"`
			} `json:"spec"`
		}
		err := decoder.Decode(&object)
		if errors.Is(err, io.EOF) {
			return found
		}
		require.NoError(t, err)
		if object.Kind == "Deployment" || object.Kind == "DaemonSet" {
			found = append(found, object.Spec.Template.Spec)
		}
	}
}

func TestChartRefusesThePeopleThatTheClusterFileRefuses(t *testing.T) {
	template, err := os.ReadFile("../../charts/dnas/templates/validate.yaml")
	require.NoError(t, err)
	require.Contains(t, string(template), `(splitList " " "`+strings.Join(config.SystemAccounts, " ")+` guest homecloud")`)
}

// The charts' templates write down ports and the node's label; what hostprep
// opens and sets comes from config. Here they are compared.
func TestChartsUseTheNamesThatBothSidesRelyOn(t *testing.T) {
	cluster := clusters(t)["example-two-boards"]
	listening := map[string]bool{}
	for _, pod := range pods(t, cluster, ChartDNAS) {
		require.True(t, pod.HostNetwork)
		for _, container := range pod.Containers {
			for _, port := range container.Ports {
				listening[strconv.Itoa(int(port.HostPort))+"/"+strings.ToLower(string(port.Protocol))] = true
			}
		}
		require.Equal(t, "true", pod.NodeSelector[config.NodeLabel])
	}
	want := map[string]bool{}
	for _, port := range config.Ports {
		want[strconv.Itoa(port.Number)+"/"+port.Protocol] = true
	}
	require.Equal(t, slices.Sorted(maps.Keys(want)), slices.Sorted(maps.Keys(listening)))
}
