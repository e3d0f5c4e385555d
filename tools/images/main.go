// Command images builds every image of the stack from Debian packages, without Docker and without a
// registry, and loads them into a cluster. See images --help.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/ft-services/ft-services/tools/images/internal/cli"
)

func main() {
	// Modes of what is built must not depend on who builds it.
	syscall.Umask(0o022)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := cli.Run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}
