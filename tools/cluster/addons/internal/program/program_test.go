package program_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/spf13/pflag"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ft-services/ft-services/tools/cluster/addons/internal/program"
)

func TestMainReturns(t *testing.T) {
	tests := map[string]struct {
		args           []string
		check, run     error
		code           int
		stdout, stderr string
	}{
		"done":              {code: program.ExitDone},
		"help":              {args: []string{"--help"}, code: program.ExitDone, stdout: "Works.\n\nUsage:\n  worker [flags]"},
		"an unknown flag":   {args: []string{"--nope"}, code: program.ExitUsage, stderr: "unknown flag: --nope; see worker --help"},
		"an argument":       {args: []string{"now"}, code: program.ExitUsage, stderr: `unexpected argument "now"`},
		"a refused setting": {check: errors.New("--size is too big"), code: program.ExitUsage, stderr: "worker: --size is too big"},
		"a failure":         {run: errors.New("read the cards: torn"), code: program.ExitFailed, stderr: "worker: read the cards: torn\n"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			flags := pflag.NewFlagSet("worker", pflag.ContinueOnError)
			flags.Int("size", 1, "how big")
			code := program.Program{
				Name: "worker", About: "Works.", Flags: flags,
				Check: func() error { return test.check },
				Run:   func(context.Context) error { return test.run },
			}.Main(test.args, &stdout, &stderr)
			assert.Equal(t, test.code, code)
			assert.Contains(t, stdout.String(), test.stdout)
			assert.Contains(t, stderr.String(), test.stderr)
			assert.Equal(t, test.stderr == "", stderr.Len() == 0, stderr.String())
		})
	}
}

func TestASignalEndsIt(t *testing.T) {
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		code := program.Program{
			Name: "worker", Flags: pflag.NewFlagSet("worker", pflag.ContinueOnError),
			Run: func(ctx context.Context) error {
				if err := syscall.Kill(os.Getpid(), signal); err != nil {
					return err
				}
				<-ctx.Done()
				return nil
			},
		}.Main(nil, &bytes.Buffer{}, &bytes.Buffer{})
		assert.Equal(t, program.ExitDone, code, signal)
	}
}

func TestClient(t *testing.T) {
	path := filepath.Join(t.TempDir(), "kubeconfig")
	_, err := program.Client(path, "worker")
	require.ErrorContains(t, err, "read the kubeconfig "+path)

	require.NoError(t, os.WriteFile(path, []byte(`
apiVersion: v1
kind: Config
current-context: here
contexts: [{name: here, context: {cluster: here, user: me}}]
clusters: [{name: here, cluster: {server: "https://192.168.49.2:6443"}}]
users: [{name: me, user: {}}]
`), 0o600))
	client, err := program.Client(path, "worker")
	require.NoError(t, err)
	assert.Equal(t, "192.168.49.2:6443", client.CoreV1().RESTClient().Get().URL().Host)
}
