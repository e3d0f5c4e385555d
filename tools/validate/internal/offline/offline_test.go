package offline_test

import (
	"net/http"
	"net/http/httptest"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ft-services/ft-services/tools/validate/internal/offline"
)

func TestEnter(t *testing.T) {
	t.Setenv("PATH", "/usr/bin:/bin") // restored after the test
	transport, client := http.DefaultTransport, http.DefaultClient
	t.Cleanup(func() { http.DefaultTransport, http.DefaultClient = transport, client })
	_, err := exec.LookPath("sh")
	require.NoError(t, err)
	asked := 0
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked++ }))
	defer server.Close()

	require.NoError(t, offline.Enter())
	for _, client := range []*http.Client{{}, http.DefaultClient} {
		_, err := client.Get(server.URL)
		assert.ErrorContains(t, err, server.URL)
		assert.ErrorContains(t, err, "rendering is offline")
	}
	assert.Zero(t, asked)
	_, err = exec.LookPath("sh")
	assert.ErrorIs(t, err, exec.ErrNotFound)
}
