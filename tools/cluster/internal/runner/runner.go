// Package runner runs a command in a person's place: with the terminal of this program, and its exit code.
package runner

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// grace is what a command has to clean up after it was told to end.
const grace = time.Minute

// Run runs a command with this program's input and output, and further variables in its environment. It returns the
// command's exit code; an error says that it could not be run.
func Run(ctx context.Context, command []string, variables ...string) (int, error) {
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Env = append(os.Environ(), variables...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = grace
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		// Ended by a signal, the code is -1.
		return max(exit.ExitCode(), 1), nil
	}
	return 0, err
}
