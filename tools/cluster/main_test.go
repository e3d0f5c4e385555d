package main_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/ft-services/ft-services/tools/cluster/internal/cli"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"cluster": func() { os.Exit(cli.Run(context.Background(), os.Args[1:], os.Stdout, os.Stderr)) },
	})
}

// TestScripts runs the command as its users do. REPOSITORY is this repository; minikube.txtar brings a minikube and a
// kubectl that write down how they were called.
func TestScripts(t *testing.T) {
	repository, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			env.Setenv("REPOSITORY", repository)
			for _, name := range []string{"HOME", "GOPATH", "GOCACHE", "GOPROXY", "GOFLAGS"} {
				// The real ones: MetalLB's manifests come out of its Go module.
				if value, set := os.LookupEnv(name); set {
					env.Setenv(name, value)
				}
			}
			return nil
		},
	})
}
