// Command validate renders every Kustomize overlay of the repository in-process and checks each
// object against its type and against Rego policies. See validate --help.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/ft-services/ft-services/tools/validate/internal/cli"
	"github.com/ft-services/ft-services/tools/validate/internal/git"
	"github.com/ft-services/ft-services/tools/validate/internal/offline"
)

func main() { os.Exit(start()) }

func start() int {
	// Before the PATH is hidden from Kustomize.
	program, environment := cli.Program{Git: git.Find()}, os.Environ()
	if err := offline.Enter(); err != nil {
		fmt.Fprintf(os.Stderr, "validate: %v\n", err)
		return cli.ExitFailed
	}
	spareCollections()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// One build cannot be interrupted: a second signal ends the process at once.
	context.AfterFunc(ctx, stop)
	return program.Run(cli.Watch(ctx, os.Args, environment, os.Stderr), os.Args[1:], os.Stdout, os.Stderr)
}

// spareCollections lets the heap grow to five times what is alive. A run is short and most of what it
// makes lives until the overlay is done: collecting at twice that, as is usual, takes a third of the
// time and frees little. Who sets GOGC has the last word.
func spareCollections() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(400)
	}
}
