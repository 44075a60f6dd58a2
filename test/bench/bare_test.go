package bench

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/tmorin/homecloud/test/cloud"
)

//go:embed bare.sh
var bareScript []byte

// startBare runs the daemons of the NAS on each board without Kubernetes, with
// the configuration of the pods, other ports and another folder.
func startBare(b *testing.B, c *cloud.Cloud, nodes []cloud.Node) *path {
	b.Helper()
	client, err := cloud.Client(c.Driver.Kubeconfig())
	require.NoError(b, err)
	configMaps, err := client.CoreV1().ConfigMaps("homecloud").List(b.Context(), metav1.ListOptions{})
	require.NoError(b, err)
	files := map[string]string{}
	for _, configMap := range configMaps.Items {
		for name, content := range configMap.Data {
			files[name] = content
		}
	}
	elsewhere := strings.NewReplacer("smb ports = 445", "smb ports = 1445", "NFS_Port = 2049", "NFS_Port = 3049",
		"/srv/homecloud/data/shares/roms", "/srv/homecloud/data/bare")
	ids := make([]string, len(nodes))
	for i, node := range nodes {
		for name, content := range map[string]string{
			"bare.sh":      string(bareScript),
			"smb.conf":     elsewhere.Replace(files["smb.conf"]),
			"ganesha.conf": elsewhere.Replace(files["ganesha.conf"]),
		} {
			push(b, c, node.Name, name, strings.NewReader(content))
		}
		accounts(b, c, node.Name)
		ids[i] = board(b, c, node.Name, "sh /opt/bare/bare.sh generate")
	}
	for i, node := range nodes {
		peer := 1 - i
		board(b, c, node.Name, fmt.Sprintf("sh /opt/bare/bare.sh start %s %s %s %s", node.Address, ids[i], nodes[peer].Address, ids[peer]))
	}
	return &path{cloud: c, from: nodes[0].Address, to: nodes[1].Address, smbPort: "1445", nfsPort: 3049, share: "roms", auth: login(b, c)}
}

// accounts writes the account files with the agent, from the cluster's own Secret.
func accounts(b *testing.B, c *cloud.Cloud, node string) {
	b.Helper()
	client, err := cloud.Client(c.Driver.Kubeconfig())
	require.NoError(b, err)
	users, err := client.CoreV1().Secrets("homecloud").Get(b.Context(), "homecloud-users", metav1.GetOptions{})
	require.NoError(b, err)
	config, err := json.Marshal(map[string]any{"owner": map[string]int{"uid": 2000, "gid": 2000}, "users": []string{"alice", "bob"}})
	require.NoError(b, err)
	push(b, c, node, "accounts.json", bytes.NewReader(config))
	for name, password := range users.Data {
		push(b, c, node, "users/"+name, bytes.NewReader(password))
	}
	board(b, c, node, "/opt/homecloud/homecloud-agent accounts --config /opt/bare/accounts.json --users /opt/bare/users --out /opt/bare")
}

func push(b *testing.B, c *cloud.Cloud, node, name string, content io.Reader) {
	b.Helper()
	command := c.Driver.Board(b.Context(), node, "sh", "-c", `umask 077; mkdir -p "$(dirname "$0")" && cat >"$0"`, "/opt/bare/"+name)
	command.Stdin = content
	output, err := command.CombinedOutput()
	require.NoError(b, err, "%s", output)
}

func board(b *testing.B, c *cloud.Cloud, node, line string) string {
	b.Helper()
	output, err := c.Driver.Board(b.Context(), node, "sh", "-c", line).CombinedOutput()
	require.NoError(b, err, "%s on %s: %s", line, node, output)
	return strings.TrimSpace(string(output))
}
