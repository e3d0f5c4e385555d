// Command validate renders every Kustomize overlay of the repository in-process and checks each
// object against its type and against Rego policies. See validate --help.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/ft-services/ft-services/tools/validate/internal/cli"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := cli.Run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}
