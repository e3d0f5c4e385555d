package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
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
