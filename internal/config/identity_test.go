package config_test

import (
	"encoding/base64"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tmorin/homecloud/internal/config"
)

func TestDeviceIDHasCheckCharactersThatCatchATypingMistake(t *testing.T) {
	const id = "P56IOI7-MZJNU2Y-IQGDREY-DM2MGTI-MGL3BXN-PQ6W5BM-TBBZ4TJ-XZWICQ2"
	parsed, err := config.ParseDeviceID(strings.ToLower(strings.ReplaceAll(id, "-", "")))
	require.NoError(t, err)
	require.Equal(t, config.DeviceID(id), parsed)
	require.Equal(t, "P56IOI7", parsed.Short())

	for i := range id {
		if id[i] == '-' {
			continue
		}
		wrong := []byte(id)
		wrong[i] = 'A'
		if id[i] == 'A' {
			wrong[i] = 'B'
		}
		_, err := config.ParseDeviceID(string(wrong))
		require.Error(t, err, "%s differs from the right ID in one character", wrong)
	}
}

// The certificate was made by a real Syncthing, and so was its ID.
func TestDeviceIDIsTheOneThatSyncthingComputes(t *testing.T) {
	pem, err := os.ReadFile("testdata/syncthing/cert.pem")
	require.NoError(t, err)
	want, err := os.ReadFile("testdata/syncthing/id")
	require.NoError(t, err)
	body := strings.Join(strings.Split(strings.TrimSpace(string(pem)), "\n")[1:], "")
	body, _, _ = strings.Cut(body, "-----")
	der, err := base64.StdEncoding.DecodeString(body)
	require.NoError(t, err)
	require.Equal(t, strings.TrimSpace(string(want)), string(config.NewDeviceID(der)))
}

func TestSentinelIsReadBackAndHalfKnownOnesAreRefused(t *testing.T) {
	sentinel := config.Sentinel{Version: 1, Cluster: "home", Disk: "data", UUID: "5f0e3f0c", Generation: "g1", Node: "node-1"}
	read, err := config.ParseSentinel(sentinel.Encode())
	require.NoError(t, err)
	require.Equal(t, sentinel, read)
	require.JSONEq(t, `{"version":1,"cluster":"home","disk":"data","uuid":"5f0e3f0c","generation":"g1","node":"node-1"}`, string(sentinel.Encode()))

	moved := sentinel
	moved.Node = "node-2"
	require.True(t, sentinel.Same(moved), "a disk may move to another board")
	emptied := sentinel
	emptied.Generation = "g2"
	require.False(t, sentinel.Same(emptied))

	for text, problem := range map[string]string{
		``:              "not JSON",
		`{`:             "not JSON",
		`{"version":2}`: "version 2",
		`{"version":1,"cluster":"home","disk":"data","uuid":"u","generation":""}`:              "generation is missing",
		`{"version":1,"cluster":"home","disk":"data","uuid":"u","generation":"g","owner":"x"}`: "unknown field",
		string(sentinel.Encode()) + "{}":                                                       "not JSON",
		strings.Repeat(" ", 5000):                                                              "more than",
	} {
		_, err := config.ParseSentinel([]byte(text))
		require.ErrorContains(t, err, problem, text)
	}
}

func TestFilesLieBesideTheClusterFile(t *testing.T) {
	for cluster, want := range map[string][2]string{
		"homecloud.yaml":      {"homecloud.lock.yaml", "homecloud.secrets.yaml"},
		"/etc/home/cloud.yml": {"/etc/home/cloud.lock.yaml", "/etc/home/cloud.secrets.yaml"},
		"./cabin":             {"./cabin.lock.yaml", "./cabin.secrets.yaml"},
		"-":                   {"homecloud.lock.yaml", "homecloud.secrets.yaml"},
	} {
		require.Equal(t, want, [2]string{config.LockPath(cluster), config.SecretsPath(cluster)}, cluster)
	}
}

func TestAmountsAreReadAndShownAsPeopleWriteThem(t *testing.T) {
	for text, want := range map[string]config.Size{
		"4Gi": 4 << 30, "1.5Gi": 3 << 29, "500M": 500e6, "2k": 2000, "17": 17, "3905Mi": 3905 << 20,
	} {
		size, err := config.ParseSize(text)
		require.NoError(t, err, text)
		require.Equal(t, want, size, text)
		again, err := config.ParseSize(size.String())
		require.NoError(t, err)
		require.Equal(t, size, again, text)
	}
	for _, text := range []string{"", "4 Gi", "4GB", "-1", "999999999999999999Pi", "Gi"} {
		_, err := config.ParseSize(text)
		require.Error(t, err, text)
	}
	for text, days := range map[string]int{"90d": 90, "2w": 14, "1y": 365, "36h": 1} {
		duration, err := config.ParseDuration(text)
		require.NoError(t, err, text)
		require.Equal(t, days, duration.Days(), text)
	}
	for _, text := range []string{"", "90", "1h30m", "-1d", "1.5d", "9999999d"} {
		_, err := config.ParseDuration(text)
		require.Error(t, err, text)
	}
}
