// Command cluster runs the stack: a real Kubernetes on this machine, without Docker, or minikube where that is
// installed. See cluster --help.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/ft-services/ft-services/tools/cluster/internal/cli"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := cli.Run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}
