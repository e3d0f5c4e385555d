package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"

	"github.com/ft-services/ft-services/tools/validate/internal/document"
	"github.com/ft-services/ft-services/tools/validate/internal/policy"
	"github.com/ft-services/ft-services/tools/validate/internal/regular"
	"github.com/ft-services/ft-services/tools/validate/internal/whole"
)

const docsUsage = `Writes the README of the policies from their METADATA, as ` + document.File + ` in their directory.

Usage:
  validate docs [flags]

Flags:
%s
Exit codes:
  0  written, or as it would be written
  1  stale (with --check)
  2  wrong usage
  3  could not read or write
`

// docs is the command that writes the policies' README.
func docs(args []string) (action, string, error) {
	flags := newFlags()
	dir := flags.String("policies", "policies", "`directory` of the policies")
	check := flags.Bool("check", false, "write nothing; fail if the README is not what would be written")
	help := fmt.Sprintf(docsUsage, flags.FlagUsages())
	if err := parse(flags, args); err != nil {
		return nil, help, err
	}
	if flags.NArg() > 0 {
		return nil, help, mistake("docs takes no argument; name the directory with --policies %s", flags.Arg(0))
	}
	return func(_ context.Context, stdout, stderr io.Writer) (int, error) {
		return writeDocs(*dir, *check, stdout, stderr)
	}, help, nil
}

func writeDocs(dir string, check bool, stdout, stderr io.Writer) (int, error) {
	policies, err := policy.Load(dir)
	if err != nil {
		return ExitFailed, err
	}
	file := filepath.Join(dir, document.File)
	want := document.Markdown(dir, policies.Known())
	got, err := regular.Read(file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return ExitFailed, fmt.Errorf("reading the README: %w", err)
	}
	current := err == nil && bytes.Equal(got, want)
	if check && !current {
		fmt.Fprintf(stderr, "validate: %s is not what the policies' METADATA gives; run validate docs --policies %s\n", file, dir)
		return ExitViolations, nil
	}
	if !current {
		if err := whole.Write(file, want); err != nil {
			return ExitFailed, fmt.Errorf("writing the README: %w", err)
		}
	}
	fmt.Fprintf(stdout, "%s: %d policies\n", file, len(policies.Known()))
	return ExitClean, nil
}
