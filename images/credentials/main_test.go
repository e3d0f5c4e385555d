package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	"github.com/ft-services/ft-services/images/credentials/internal/config"
	"github.com/ft-services/ft-services/images/credentials/internal/reconcile"
)

func TestCommandLine(t *testing.T) {
	wrong := filepath.Join(t.TempDir(), "wrong.yaml")
	require.NoError(t, os.WriteFile(wrong, []byte("secrets: [{name: x}]"), 0o600))
	for name, test := range map[string]struct {
		args []string
		code int
		want string
	}{
		"help":              {[]string{"--help"}, exitStopped, "Usage:"},
		"unknown flag":      {[]string{"--frobnicate"}, exitUsage, "unknown flag"},
		"argument":          {[]string{"--config=x", "y"}, exitUsage, `unexpected argument "y"`},
		"no declaration":    {[]string{"--address=192.0.2.7"}, exitUsage, "--config is missing"},
		"no address":        {[]string{"--config=x"}, exitUsage, "--address is missing"},
		"placeholder":       {[]string{"--address=ADDRESS", "--config=x"}, exitUsage, "reading --address"},
		"missing file":      {[]string{"--address=192.0.2.7", "--config=none.yaml"}, exitUsage, "none.yaml"},
		"wrong declaration": {[]string{"--address=192.0.2.7", "--config=" + wrong}, exitUsage, `secret "x"`},
		"no cluster":        {[]string{"--address=192.0.2.7", "--namespace=web", "--config=../../base/credentials/config/credentials.yaml"}, exitFailed, "configuring the client"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("KUBERNETES_SERVICE_HOST", "")
			var out bytes.Buffer
			require.Equal(t, test.code, start(t.Context(), test.args, &out, &out))
			require.Contains(t, out.String(), test.want)
		})
	}
}

// serving runs serve for one declared Secret, and returns the cluster, whose API server is down when that says so, and
// the result.
func serving(ctx context.Context, t *testing.T, listener net.Listener, down *atomic.Bool) (*fake.Clientset, <-chan error) {
	t.Helper()
	secrets, err := config.Parse([]byte("secrets: [{name: x, values: {key: {random: 16}}}]"))
	require.NoError(t, err)
	log := slog.New(slog.DiscardHandler)
	cluster := fake.NewClientset()
	// Before anybody asks: a reactor that comes later is a data race.
	cluster.PrependReactor("get", "secrets", func(clienttesting.Action) (bool, runtime.Object, error) {
		return down.Load(), nil, errors.New("down")
	})
	reconciler := reconcile.New(cluster.CoreV1().Secrets("web"), reconcile.Options{
		Secrets: secrets, Namespace: "web", Address: netip.MustParseAddr("192.0.2.7"), Interval: 10 * time.Millisecond, Log: log,
	})
	result := make(chan error, 1)
	go func() { result <- serve(ctx, reconciler, listener, log) }()
	return cluster, result
}

func TestServe(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var down atomic.Bool
	cluster, result := serving(ctx, t, listener, &down)
	client := &http.Client{Timeout: time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	ask := func(path string) (int, string) {
		answer, err := client.Get("http://" + listener.Addr().String() + path)
		require.NoError(t, err)
		defer answer.Body.Close()
		text, err := io.ReadAll(answer.Body)
		require.NoError(t, err)
		return answer.StatusCode, string(text)
	}
	becomes := func(code int, says string) {
		require.Eventually(t, func() bool {
			got, text := ask("/readyz")
			return got == code && strings.Contains(text, says)
		}, 5*time.Second, 5*time.Millisecond, "/readyz: %d %s", code, says)
	}
	becomes(http.StatusOK, "ok")
	_, err = cluster.CoreV1().Secrets("web").Get(t.Context(), "x", metav1.GetOptions{})
	require.NoError(t, err, "ready means that the Secret is there")

	down.Store(true)
	becomes(http.StatusServiceUnavailable, "secret x: reading: down")
	code, _ := ask("/healthz")
	require.Equal(t, http.StatusOK, code, "alive without the API server")
	code, _ = ask("/elsewhere")
	require.Equal(t, http.StatusNotFound, code)

	stop()
	select {
	case err := <-result:
		require.NoError(t, err)
	case <-time.After(5 * time.Second):
		require.Fail(t, "serve goes on after the end of its context")
	}
	_, err = client.Get("http://" + listener.Addr().String() + "/healthz")
	require.Error(t, err, "nobody listens any more")
}

func TestServeFailsWithItsListener(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, listener.Close())
	_, result := serving(t.Context(), t, listener, &atomic.Bool{})
	select {
	case err := <-result:
		require.ErrorContains(t, err, "serving health")
	case <-time.After(5 * time.Second):
		require.Fail(t, "serve goes on without a listener")
	}
}

func TestHealthBeforeTheFirstPass(t *testing.T) {
	handler := health(reconcile.New(fake.NewClientset().CoreV1().Secrets("web"), reconcile.Options{Interval: time.Second}))
	for path, want := range map[string]int{"/healthz": http.StatusOK, "/readyz": http.StatusServiceUnavailable} {
		answer := httptest.NewRecorder()
		handler.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, path, nil))
		require.Equal(t, want, answer.Code, path)
	}
}
