// Package command runs the programs that do the work, and ends them with all their children when the
// build is interrupted.
package command

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// grace is how long an interrupted program may take to clean up (mmdebstrap unmounts what it mounted).
const grace = 20 * time.Second

// lastLines is how much of a failed program's output an error shows.
const lastLines = 15

// Run runs a program. Its output goes to the file log, or nowhere; an error carries its last lines.
// Env is added to the environment.
func Run(ctx context.Context, log string, env []string, name string, args ...string) error {
	_, err := run(ctx, log, env, false, name, args...)
	return err
}

// Output runs a program and returns what it writes to its standard output.
func Output(ctx context.Context, env []string, name string, args ...string) ([]byte, error) {
	return run(ctx, "", env, true, name, args...)
}

func run(ctx context.Context, log string, env []string, wantOutput bool, name string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), env...)
	cmd.WaitDelay = grace
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	var stdout, all bytes.Buffer
	cmd.Stdout, cmd.Stderr = &all, &all
	if wantOutput {
		cmd.Stdout = &stdout
	}
	err := cmd.Run()
	if log != "" {
		if writeErr := os.WriteFile(log, all.Bytes(), 0o644); writeErr != nil && err == nil {
			err = writeErr
		}
	}
	switch {
	case ctx.Err() != nil:
		return nil, fmt.Errorf("run %s: %w", name, context.Cause(ctx))
	case err != nil:
		return nil, fmt.Errorf("run %s: %w%s", name, err, tail(all.String()))
	}
	return stdout.Bytes(), nil
}

// tail indents the last lines of a program's output.
func tail(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	if len(lines) == 1 && lines[0] == "" {
		return ""
	}
	if len(lines) > lastLines {
		lines = lines[len(lines)-lastLines:]
	}
	return "\n    " + strings.Join(lines, "\n    ")
}
