package main_test

import (
	"bytes"
	"errors"
	"flag"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	command "github.com/ft-services/ft-services/tools/validate"
	"github.com/ft-services/ft-services/tools/validate/internal/sariftest"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func TestMain(m *testing.M) {
	testscript.Main(outsideActions{m}, map[string]func(){"validate": command.Main})
}

// outsideActions runs the tests, but not the commands of the scripts, without GitHub's variables.
type outsideActions struct{ m *testing.M }

func (o outsideActions) Run() int {
	os.Unsetenv("GITHUB_ACTIONS")
	return o.m.Run()
}

// TestScripts runs the command as its users do. Every script starts in a copy of testdata/tree: one
// sound overlay and one policy. What $REMOTE names is a server that nobody may ask for anything.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:           "testdata/script",
		UpdateScripts: *update,
		Setup: func(env *testscript.Env) error {
			var asked atomic.Int32
			server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) }))
			env.Setenv("REMOTE", server.URL)
			env.Defer(func() {
				server.Close()
				if n := asked.Load(); n > 0 {
					t.Errorf("the server was asked %d times", n)
				}
			})
			return os.CopyFS(env.WorkDir, os.DirFS("testdata/tree"))
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": exits,
			"fifo":  fifo,
			"fill":  fill,
			"junk":  junk,
			"sarif": sarif,
		},
	})
}

// exits runs a command that must end with a certain code: exits 1 validate overlays/bad
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits code command [argument…]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	var failure *exec.ExitError
	if err := ts.Exec(args[1], args[2:]...); errors.As(err, &failure) {
		got = failure.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// sarif holds a file to the schema of SARIF: sarif out.sarif
func sarif(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: sarif file")
	}
	ts.Check(sariftest.Validate([]byte(ts.ReadFile(args[0]))))
}

// junk writes a file of that many bytes that are no text: junk 10000000 overlays/bad/service.yaml
func junk(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: junk bytes file")
	}
	size, err := strconv.Atoi(args[0])
	ts.Check(err)
	content := make([]byte, size)
	for i := range content {
		content[i] = byte(i*i + i>>8)
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), content, 0o600))
}

// fill writes the server's URL where the files say REMOTE: fill overlays/bad/kustomization.yaml
func fill(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: fill file…")
	}
	for _, file := range args {
		content := bytes.ReplaceAll([]byte(ts.ReadFile(file)), []byte("REMOTE"), []byte(ts.Getenv("REMOTE")))
		ts.Check(os.WriteFile(ts.MkAbs(file), content, 0o600))
	}
}

// fifo makes a pipe that nobody writes to: fifo facts.yaml
func fifo(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: fifo file")
	}
	_ = os.Remove(ts.MkAbs(args[0]))
	ts.Check(syscall.Mkfifo(ts.MkAbs(args[0]), 0o600))
}
