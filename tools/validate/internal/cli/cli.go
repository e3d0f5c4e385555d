// Package cli is the command line of the validator: it reads the arguments, runs the checks and says
// with which code to exit.
package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/pflag"
	"golang.org/x/term"

	"github.com/ft-services/ft-services/tools/validate/internal/check"
	"github.com/ft-services/ft-services/tools/validate/internal/manifest"
	"github.com/ft-services/ft-services/tools/validate/internal/overlay"
	"github.com/ft-services/ft-services/tools/validate/internal/policy"
	"github.com/ft-services/ft-services/tools/validate/internal/report"
	"github.com/ft-services/ft-services/tools/validate/internal/schema"
	"github.com/ft-services/ft-services/tools/validate/internal/waiver"
)

// Exit codes. When an overlay cannot be checked, that outweighs violations in others.
const (
	ExitClean      = 0 // every overlay was checked and keeps every promise
	ExitViolations = 1 // a policy of severity error is violated
	ExitUsage      = 2 // the command line is wrong
	ExitFailed     = 3 // something could not be rendered or evaluated
)

const usage = `Renders Kustomize overlays and checks every object against its type and against Rego policies.
Works offline and changes nothing.

Usage:
  validate [flags] [overlay…]

Without an overlay, all that lie below overlays/ are checked.

Examples:
  validate                                check everything
  validate overlays/minikube              check one overlay
  validate -o json > report.json          the same as JSON
  validate --render overlays/minikube     print what is checked, as kubectl kustomize does
  validate --list-policies                what is promised, and by which requirement

Flags:
%s
Exit codes:
  0  clean
  1  violations
  2  wrong usage
  3  could not render or evaluate
`

// overlaysRoot is where overlays are looked for when none is named.
const overlaysRoot = "overlays"

type options struct {
	policies     string
	waivers      string
	output       string
	listPolicies bool
	render       bool
	overlays     []string
}

// usageError is a mistake on the command line.
type usageError struct{ text string }

func (e *usageError) Error() string { return e.text }

// parse reads the arguments; pflag.ErrHelp means that help was asked for.
func parse(args []string) (options, string, error) {
	var o options
	flags := pflag.NewFlagSet("validate", pflag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.SortFlags = false
	flags.StringVarP(&o.output, "output", "o", "text", "format of the report, and of the list of policies: "+strings.Join(formatNames(), " or "))
	flags.StringVar(&o.policies, "policies", "policies", "`directory` of the policies")
	flags.StringVar(&o.waivers, "waivers", "", "`file` of temporary exceptions (default: "+policy.WaiversFile+" among the policies, if there is one)")
	flags.BoolVar(&o.render, "render", false, "print the rendered overlay instead of checking it")
	flags.BoolVar(&o.listPolicies, "list-policies", false, "print the policies and exit")
	help := fmt.Sprintf(usage, flags.FlagUsages())
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, pflag.ErrHelp) {
			return o, help, err
		}
		return o, help, &usageError{err.Error()}
	}
	o.overlays = flags.Args()
	if _, known := report.Formats()[o.output]; !known {
		return o, help, &usageError{fmt.Sprintf("unknown output format %q; known: %s", o.output, strings.Join(formatNames(), ", "))}
	}
	if o.render && len(o.overlays) != 1 {
		return o, help, &usageError{"--render takes exactly one overlay"}
	}
	if o.render && o.listPolicies {
		return o, help, &usageError{"--render and --list-policies exclude each other"}
	}
	return o, help, nil
}

func formatNames() []string { return slices.Sorted(maps.Keys(report.Formats())) }

// Run does what the arguments ask for and returns the exit code. The report goes to stdout, all else
// to stderr.
func Run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	o, help, err := parse(args)
	if errors.Is(err, pflag.ErrHelp) {
		fmt.Fprint(stdout, help)
		return ExitClean
	}
	code := ExitClean
	if err == nil {
		code, err = run(ctx, o, stdout)
	}
	if err != nil {
		for line := range strings.Lines(err.Error()) {
			fmt.Fprintf(stderr, "validate: %s\n", strings.TrimRight(line, "\n"))
		}
		var mistake *usageError
		if errors.As(err, &mistake) {
			fmt.Fprintln(stderr, "validate: see validate --help")
			return ExitUsage
		}
		return ExitFailed
	}
	return code
}

func run(ctx context.Context, o options, stdout io.Writer) (int, error) {
	if o.render {
		return ExitClean, render(ctx, o.overlays[0], stdout)
	}
	policies, err := policy.Load(o.policies)
	if err != nil {
		return ExitFailed, err
	}
	if o.listPolicies {
		return ExitClean, listPolicies(policies, o.output, stdout)
	}
	waivers, err := loadWaivers(o)
	if err != nil {
		return ExitFailed, err
	}
	schemas, err := schema.Load()
	if err != nil {
		return ExitFailed, err
	}
	overlays, err := choose(o.overlays)
	if err != nil {
		return ExitFailed, err
	}
	checker := &check.Checker{
		Policies: policies,
		Decoder:  manifest.NewDecoder(schemas),
		Waivers:  waivers,
		All:      len(o.overlays) == 0,
	}
	result := checker.Run(ctx, overlays)
	if err := report.Formats()[o.output](stdout, result, showsColor(stdout)); err != nil {
		return ExitFailed, err
	}
	switch counts := result.Count(); {
	case counts.Failed > 0:
		return ExitFailed, nil
	case counts.Errors > 0:
		return ExitViolations, nil
	}
	return ExitClean, nil
}

// choose returns the overlays that are named, each once, or all there are.
func choose(named []string) ([]string, error) {
	if len(named) == 0 {
		return overlay.Find(overlaysRoot)
	}
	var chosen []string
	for _, name := range named {
		if name = filepath.Clean(name); !slices.Contains(chosen, name) {
			chosen = append(chosen, name)
		}
	}
	return chosen, nil
}

func loadWaivers(o options) (*waiver.List, error) {
	if o.waivers != "" {
		return waiver.Load(o.waivers, false, time.Now().UTC())
	}
	return waiver.Load(filepath.Join(o.policies, policy.WaiversFile), true, time.Now().UTC())
}

func render(ctx context.Context, dir string, stdout io.Writer) error {
	rendered, err := overlay.Render(ctx, filepath.Clean(dir))
	if err != nil {
		return err
	}
	text, err := rendered.YAML()
	if err != nil {
		return err
	}
	if _, err := stdout.Write(text); err != nil {
		return fmt.Errorf("printing %s: %w", dir, err)
	}
	return nil
}

func listPolicies(policies *policy.Set, output string, stdout io.Writer) error {
	if output == "json" {
		encoder := json.NewEncoder(stdout)
		encoder.SetIndent("", "  ")
		encoder.SetEscapeHTML(false)
		if err := encoder.Encode(policies.Policies()); err != nil {
			return fmt.Errorf("printing the policies as JSON: %w", err)
		}
		return nil
	}
	table := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "POLICY\tSEVERITY\tREQUIREMENTS\tTITLE")
	for _, each := range policies.Policies() {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", each.Name, each.Severity, strings.Join(each.Requirements, ","), each.Title)
	}
	if err := table.Flush(); err != nil {
		return fmt.Errorf("printing the policies: %w", err)
	}
	return nil
}

// showsColor is whether w is a terminal whose user has not asked for plain text.
// Source: https://no-color.org
func showsColor(w io.Writer) bool {
	file, ok := w.(*os.File)
	return ok && term.IsTerminal(int(file.Fd())) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
}
