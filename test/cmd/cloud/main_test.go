package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// asCloud has this program be the command itself.
const asCloud = "HOMECLOUD_TEST_AS_CLOUD"

func TestMain(m *testing.M) {
	if os.Getenv(asCloud) != "" {
		os.Exit(execute(os.Args[1:]))
	}
	os.Exit(m.Run())
}

// As Ctrl-C does it: the terminal interrupts all programs of its foreground group.
func TestInterruptedUpSaysHowToGoOn(t *testing.T) {
	for _, place := range []string{"make", "lab"} {
		t.Run(place, func(t *testing.T) {
			root := t.TempDir()
			const waits = "#!/bin/sh\ntrap 'echo ended orderly >&2; exit 130' INT\ntouch began\nwhile :; do sleep 0.05; done\n"
			programs := map[string]string{"make": "#!/bin/sh\n", "lab": "#!/bin/sh\n"}
			programs[place] = waits
			require.NoError(t, os.MkdirAll(filepath.Join(root, "charts", "homecloud"), 0o755))
			require.NoError(t, os.Mkdir(filepath.Join(root, "bin"), 0o755))
			for name, content := range programs {
				require.NoError(t, os.WriteFile(filepath.Join(root, "bin", name), []byte(content), 0o755))
			}
			up := exec.Command("/proc/self/exe", "up")
			up.Dir = root
			up.Env = append(os.Environ(), asCloud+"=1", "PATH="+filepath.Join(root, "bin")+":"+os.Getenv("PATH"), "XDG_STATE_HOME="+root, "CLOUD=test")
			up.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
			var said strings.Builder
			up.Stderr = &said
			require.NoError(t, up.Start())
			began := func() bool { _, err := os.Stat(filepath.Join(root, "began")); return err == nil }
			require.Eventually(t, began, 10*time.Second, 10*time.Millisecond)
			require.NoError(t, syscall.Kill(-up.Process.Pid, syscall.SIGINT))
			var exit *exec.ExitError
			require.True(t, errors.As(up.Wait(), &exit), said.String())
			require.Equal(t, exitInterrupted, exit.ExitCode(), said.String())
			require.Equal(t, 1, strings.Count(said.String(), "ended orderly"), said.String())
			require.True(t, strings.HasSuffix(said.String(), "\ninterrupted; `make up CLOUD=test` goes on, `make down CLOUD=test` cleans up\n"), said.String())
		})
	}
}
