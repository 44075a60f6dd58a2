package main

import (
	"errors"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/stretchr/testify/require"

	"github.com/tmorin/homecloud/internal/config"
)

var update = flag.Bool("update", false, "rewrite what the scripts expect")

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"hcchart": func() { os.Exit(run()) },
	})
}

// TestScripts runs testdata/script/*.txtar: input, commands, expected output
// and exit codes in one readable text each. In a script, "exits CODE COMMAND"
// wants exactly that exit code; $EXAMPLES and $CHARTS are the folders of the
// repository, $CLUSTER is the URL of an empty cluster, $INSTALLED that of one
// where the cloud home is installed, $FLUX and $ARGOCD those of clusters where
// that is kept by GitOps, $OPENAPI is a folder of Kubernetes' OpenAPI
// documents. Scripts about images, and push, have a registry, $REGISTRY,
// into which "push REFERENCE ARCHITECTURE..." puts one, and a board with k3s that
// listens on $PORT, its files below $BOARD. `go test -run TestScripts/NAME ./cmd/hcchart` runs one of them.
func TestScripts(t *testing.T) {
	repository, err := filepath.Abs("../..")
	require.NoError(t, err)
	cluster := emptyCluster()
	home := map[string]any{"dnas": map[string]any{
		"enabled": true, "cluster": "home", "dataRoot": config.DataRoot, "disk": "data", "owner": map[string]any{"uid": 2000, "gid": 2000},
		"nodes": map[string]any{"box": map[string]any{"address": "192.168.1.51"}}, "shares": map[string]any{"family": map[string]any{}},
		"users": map[string]any{"alice": map[string]any{}},
	}}
	installed, flux, argo := installedCluster(home), fluxCluster(home), argoCluster()
	openAPI := t.TempDir()
	for path, document := range documents() {
		require.NoError(t, os.WriteFile(filepath.Join(openAPI, strings.ReplaceAll(path, "/", "__")+"_openapi.json"), document, 0o600))
	}
	t.Cleanup(cluster.Close) // after the scripts, which run beside each other
	t.Cleanup(installed.Close)
	t.Cleanup(flux.Close)
	t.Cleanup(argo.Close)
	testscript.Run(t, testscript.Params{
		Dir:                "testdata/script",
		UpdateScripts:      *update,
		RequireUniqueNames: true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("HOME", env.WorkDir)
			env.Setenv("EXAMPLES", filepath.Join(repository, "examples"))
			env.Setenv("CHARTS", filepath.Join(repository, "charts"))
			env.Setenv("CLUSTER", cluster.URL)
			env.Setenv("INSTALLED", installed.URL)
			env.Setenv("FLUX", flux.URL)
			env.Setenv("ARGOCD", argo.URL)
			env.Setenv("OPENAPI", openAPI)
			env.Setenv("NO_COLOR", "1")
			if name := filepath.Base(env.WorkDir); strings.HasPrefix(name, "script-images") || name == "script-push" {
				setUpImages(t, env)
			}
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": exits, "push": push, "publish": publish, "page": page,
		},
	})
}

// exits runs a command and wants one exit code: testscript itself only tells
// success from failure, while the codes are a promise of ours.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND [ARGUMENT...]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)

	err = ts.Exec(args[1], args[2:]...)
	got := 0
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		got = exit.ExitCode()
	case err != nil:
		ts.Fatalf("%v", err)
	}
	if got != want {
		ts.Fatalf("%s ended with exit code %d instead of %d", args[1], got, want)
	}
}
