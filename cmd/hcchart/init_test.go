package main

import (
	"bytes"
	"context"
	"io"
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tmorin/homecloud/internal/config"
)

func TestDefaultRouteIsReadFromTheKernelsTable(t *testing.T) {
	// Addresses stand in the byte order of the processor: little endian here,
	// as on every board that homecloud supports.
	const table = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n" +
		"cni0\t0000050A\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0\n" +
		"wg0\t00000000\t00000000\t0001\t0\t0\t0\t00000000\t0\t0\t0\n" +
		"eth0\t00000000\t0101A8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0\n" +
		"eth0\t0001A8C0\t00000000\t0001\t0\t0\t100\t00FFFFFF\t0\t0\t0\n"
	name, gateway := defaultRoute(table)
	require.Equal(t, "eth0", name)
	require.Equal(t, netip.MustParseAddr("192.168.1.1"), gateway)

	name, _ = defaultRoute("not a table\n")
	require.Empty(t, name)
}

func TestExamplesInTheWrittenFileAreValidToo(t *testing.T) {
	draft := clusterDraft{Name: "home", Users: []string{"alice"}, Subnet: "192.168.1.0/24",
		Nodes: []nodeDraft{{Name: "box", Address: "192.168.1.51", Disk: "/dev/disk/by-id/usb-A"}}}
	text := string(draft.text())
	head, examples, found := strings.Cut(text, examplesLine+"\n")
	require.True(t, found)
	for line := range strings.Lines(examples) {
		head += strings.TrimPrefix(strings.TrimPrefix(line, "#"), " ")
	}
	cluster, err := config.Parse("homecloud.yaml", []byte(head), nil)
	require.NoError(t, err)
	require.Len(t, cluster.Devices, 1)
	require.Len(t, cluster.DNAS.Shares, 2)
}

func TestAnInterruptEndsTheQuestionsAndWritesNothing(t *testing.T) {
	ctx, interrupt := context.WithCancel(context.Background())
	in, typed := io.Pipe()
	defer typed.Close()
	var out bytes.Buffer
	questions := newInterview(interruptible{ctx, in}, writerFunc(func(p []byte) (int, error) {
		if strings.Contains(string(p), "Network of the house") {
			interrupt()
		}
		return out.Write(p)
	}))
	go func() { _, _ = io.WriteString(typed, "home\n") }()
	var draft clusterDraft
	err := questions.run(&draft, homeNetwork{})
	require.ErrorIs(t, err, context.Canceled)
	var stderr bytes.Buffer
	require.Equal(t, exitInterrupted, exitCode(ctx, err, &stderr))
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

func TestAnswersAreJudgedAtOnceAndAskedAgain(t *testing.T) {
	answers := strings.Join([]string{
		"My Home", "home", // the first is no name
		"192.168.1.7/24", "192.168.1.0/24",
		"", // the router that most have
		"9", "2",
		"", "node-1.local", "192.168.1.51", "/dev/sda", "/dev/disk/by-id/usb-A",
		"node-1", "node-2", "192.168.1.51", "192.168.1.52", "", "5f0e3f0c-0000-4000-8000-000000000002",
		"192.168.1.51", "192.168.1.50", "", "end0",
		"root", "alice", "alice", "bob", "",
	}, "\n") + "\n"
	var out bytes.Buffer
	var draft clusterDraft
	err := newInterview(strings.NewReader(answers), &out).run(&draft, homeNetwork{Subnet: "10.0.0.0/24", Gateway: "10.0.0.138"})
	require.NoError(t, err, "asked so far:\n%s", &out)
	require.Equal(t, clusterDraft{
		Name: "home", Subnet: "192.168.1.0/24", Gateway: "192.168.1.1", VIP: "192.168.1.50",
		Nodes: []nodeDraft{
			{Name: "node-1", Address: "192.168.1.51", Interface: "eth0", Disk: "/dev/disk/by-id/usb-A"},
			{Name: "node-2", Address: "192.168.1.52", Interface: "end0", Disk: "5f0e3f0c-0000-4000-8000-000000000002"},
		},
		Users: []string{"alice", "bob"},
	}, draft)
	require.Empty(t, draft.findings())
	for _, objection := range []string{
		"My Home is not a name", "192.168.1.7/24 is an address inside of a network", `"9" is not a number from 1 to 8`,
		"node-1.local is a name that nobody has resolved", "/dev/sda may be another disk", "the name node-1 is taken",
		"the address 192.168.1.51 is another board's", "needs a disk for the shares", "192.168.1.51 is the address of node-1",
		"root is the name of an account of the system", "the name alice is taken",
	} {
		require.Contains(t, out.String(), objection)
	}
}

func TestAnyTextIsWrittenSoThatYAMLReadsTheSame(t *testing.T) {
	for text, want := range map[string]string{
		"box": "box", "no": `"no"`, "123": `"123"`, "fd00::1": "fd00::1", "a: b": "'a: b'", "": `""`, "x\ny": `"x\ny"`,
	} {
		require.Equal(t, want, scalar(text))
	}
}
