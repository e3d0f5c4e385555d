// Package cli is the command line of the validator: it reads the arguments, does what they ask for and
// says with which code to exit.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/pflag"

	"github.com/ft-services/ft-services/tools/validate/internal/git"
)

// Exit codes. When an overlay cannot be checked, that outweighs violations in others.
const (
	ExitClean      = 0 // every overlay was checked and keeps every promise
	ExitViolations = 1 // a promise is broken, a test fails, the policies' README is stale, or diff --exit-code found some
	ExitUsage      = 2 // the command line is wrong
	ExitFailed     = 3 // something could not be rendered, evaluated or written
)

// A command reads its arguments and returns what it is to do. pflag.ErrHelp means that help was asked
// for, which is the text.
type command func(args []string) (action action, help string, err error)

type action func(ctx context.Context, stdout, stderr io.Writer) (int, error)

// Program is the command line with the programs that it needs.
type Program struct{ Git git.Program }

// commands are those with a name; without one, overlays are checked. An overlay of the same name is
// reached by ./name.
func (p Program) commands() map[string]command {
	return map[string]command{"diff": p.diff, "docs": docs, "test": test}
}

// usageError is a mistake on the command line.
type usageError struct{ text string }

func (e *usageError) Error() string { return e.text }

func mistake(format string, args ...any) error { return &usageError{fmt.Sprintf(format, args...)} }

// Run is Program.Run with the programs of the PATH.
func Run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	return Program{Git: git.Find()}.Run(ctx, args, stdout, stderr)
}

// Run does what the arguments ask for and returns the exit code. The report goes to stdout, all else
// to stderr.
func (p Program) Run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	chosen, name := command(p.validate), ""
	if len(args) > 0 && p.commands()[args[0]] != nil {
		chosen, name, args = p.commands()[args[0]], " "+args[0], args[1:]
	}
	do, help, err := chosen(args)
	if errors.Is(err, pflag.ErrHelp) {
		fmt.Fprint(stdout, help)
		return ExitClean
	}
	code := ExitClean
	if err == nil {
		code, err = do(ctx, stdout, stderr)
	}
	if err != nil {
		for line := range strings.Lines(err.Error()) {
			fmt.Fprintf(stderr, "validate: %s\n", strings.TrimRight(line, "\n"))
		}
		var mistake *usageError
		if errors.As(err, &mistake) {
			fmt.Fprintf(stderr, "validate: see validate%s --help\n", name)
			return ExitUsage
		}
		return ExitFailed
	}
	return code
}

// newFlags returns an empty set of flags that touches no globals.
func newFlags() *pflag.FlagSet {
	flags := pflag.NewFlagSet("validate", pflag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.SortFlags = false
	return flags
}

// parse reads the arguments into flags.
func parse(flags *pflag.FlagSet, args []string) error {
	err := flags.Parse(args)
	if err == nil || errors.Is(err, pflag.ErrHelp) {
		return err
	}
	return &usageError{err.Error()}
}
