package chartregistry_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tmorin/homecloud/internal/chart"
	"github.com/tmorin/homecloud/internal/chartregistry"
)

func TestRegistryThatRefuses(t *testing.T) {
	tests := []struct {
		name   string
		answer http.HandlerFunc
		want   string
	}{
		{"needs an account", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("WWW-Authenticate", `Basic realm="home"`)
			w.WriteHeader(http.StatusUnauthorized)
		}, "log in with"},
		{"isn't allowed", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) }, "with an account that may write there"},
		{"is no registry", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) }, "/leaf:"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/v2/" {
					return
				}
				test.answer(w, r)
			}))
			defer server.Close()
			t.Setenv("HOME", t.TempDir())
			registry, err := chartregistry.Open(t.Context(), strings.TrimPrefix(server.URL, "http://")+"/charts", false)
			require.NoError(t, err)
			_, err = registry.Has(leaf(t))
			require.ErrorContains(t, err, test.want)
		})
	}
}

func TestInterruptEndsWaiting(t *testing.T) {
	asked := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/v2/" {
			close(asked)
			<-r.Context().Done()
		}
	}))
	defer server.Close()
	ctx, cancel := context.WithCancel(t.Context())
	registry, err := chartregistry.Open(ctx, strings.TrimPrefix(server.URL, "http://"), false)
	require.NoError(t, err)
	p, answer := leaf(t), make(chan error, 1)
	go func() {
		_, err := registry.Has(p)
		answer <- err
	}()
	<-asked
	cancel()
	select {
	case err := <-answer:
		require.True(t, errors.Is(err, context.Canceled), err)
	case <-time.After(time.Minute):
		t.Fatal("it goes on waiting")
	}
}

func leaf(t *testing.T) chartregistry.Package {
	t.Helper()
	c, err := chart.Load("../chart/testdata/library/leaf")
	require.NoError(t, err)
	archive, err := c.Package()
	require.NoError(t, err)
	p, err := chartregistry.Read(archive.Content, nil)
	require.NoError(t, err)
	return p
}
