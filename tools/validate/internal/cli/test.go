package cli

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/ft-services/ft-services/tools/validate/internal/policy"
	"github.com/ft-services/ft-services/tools/validate/internal/regotest"
)

const testUsage = `Runs the Rego tests and the fixtures of a policy folder: every rule test_* of its *_test.rego, and
testdata/allow-*.yaml and deny-*.yaml beside a policy, which it must allow and deny.

Usage:
  validate test [flags] [directory]

Without a directory, the tests are those of policies/.

Flags:
%s
Exit codes:
  0  all pass
  1  some fail
  2  wrong usage
  3  could not be run, or there is none
`

// test is the command that proves policies.
func test(args []string) (action, string, error) {
	flags := newFlags()
	verbose := flags.BoolP("verbose", "v", false, "print those that pass too")
	timeout := flags.Duration("timeout", time.Minute, "`time` that one test or fixture may take")
	var chosen folder
	chosen.addDataTo(flags)
	help := fmt.Sprintf(testUsage, flags.FlagUsages())
	if err := parse(flags, args); err != nil {
		return nil, help, err
	}
	if *timeout <= 0 {
		return nil, help, mistake("--timeout is %s; more than nothing is needed", *timeout)
	}
	chosen.dir = policiesDir
	switch flags.NArg() {
	case 0:
	case 1:
		chosen.dir = flags.Arg(0)
	default:
		return nil, help, mistake("test takes one directory")
	}
	return func(ctx context.Context, stdout, _ io.Writer) (int, error) {
		return runTests(ctx, chosen.source(), *timeout, *verbose, stdout)
	}, help, chosen.check()
}

func runTests(ctx context.Context, folder policy.Folder, timeout time.Duration, verbose bool, stdout io.Writer) (int, error) {
	results, err := regotest.Run(ctx, folder, timeout)
	if err != nil {
		return ExitFailed, err
	}
	failed := 0
	for _, result := range results {
		switch {
		case result.Problem != "":
			failed++
			what := result.Where
			if result.Name != result.Where {
				what += ": " + result.Name
			}
			fmt.Fprintf(stdout, "FAIL %s\n     %s\n", what, strings.ReplaceAll(result.Problem, "\n", "\n     "))
		case verbose:
			fmt.Fprintf(stdout, "ok   %s\n", result.Name)
		}
	}
	fmt.Fprintf(stdout, "%d passed, %d failed\n", len(results)-failed, failed)
	if failed > 0 {
		return ExitViolations, nil
	}
	return ExitClean, nil
}
