// Command benchmark compares the validator with the tools that it stands in for, on synthetic trees:
// `kustomize build`, which checks nothing, and that piped into `conftest test` with the same policies.
// docs/performance.md holds its results and says what is equal and what is not.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/spf13/pflag"

	"github.com/ft-services/ft-services/tools/validate/internal/synthetic"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil && !errors.Is(err, pflag.ErrHelp) {
		fmt.Fprintf(os.Stderr, "benchmark: %v\n", err)
		os.Exit(1)
	}
}

type options struct {
	sizes, skip              []string
	pairs                    int
	policies, cache, json    string
	validate, kustomize, cft string
	distinct                 bool
}

func run(ctx context.Context, args []string) error {
	var o options
	flags := pflag.NewFlagSet("benchmark", pflag.ContinueOnError)
	flags.SortFlags = false
	flags.StringSliceVar(&o.sizes, "sizes", []string{"10x2", "100x5", "300x10"}, "services x overlays of the trees")
	flags.IntVar(&o.pairs, "pairs", 5, "how often all contenders run, in turn")
	flags.StringSliceVar(&o.skip, "skip", nil, "contenders to leave out, as conftest")
	flags.BoolVar(&o.distinct, "distinct", false, "trees in which no object is the same in two overlays")
	flags.StringVar(&o.policies, "policies", "policies", "the policies that all check by")
	flags.StringVar(&o.cache, "cache", "out/benchmark", "where the programs are built")
	flags.StringVar(&o.validate, "validate", "", "the validator (default: built from this repository)")
	flags.StringVar(&o.kustomize, "kustomize", "", "kustomize (default: installed at "+kustomizeModule+")")
	flags.StringVar(&o.cft, "conftest", "", "conftest (default: installed at "+conftestModule+")")
	flags.StringVar(&o.json, "json", "", "also write every measurement as JSON to `FILE`")
	if err := flags.Parse(args); err != nil {
		return err
	}
	var sizes []synthetic.Size
	for _, text := range o.sizes {
		size, err := parseSize(text)
		if err != nil {
			return err
		}
		size.Distinct = o.distinct
		sizes = append(sizes, size)
	}
	if o.pairs < 1 {
		return fmt.Errorf("--pairs is %d; at least 1 is needed", o.pairs)
	}
	programs, err := o.programs(ctx)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "benchmark-")
	if err != nil {
		return fmt.Errorf("making a directory for the trees: %w", err)
	}
	defer os.RemoveAll(dir)
	report := report{Machine: describeMachine(), Versions: programs.versions(ctx), Distinct: o.distinct}
	report.writeHead(os.Stdout)
	for _, size := range sizes {
		result, err := programs.measure(ctx, filepath.Join(dir, size.String()), size, o)
		if err != nil {
			return fmt.Errorf("measuring %s: %w", size, err)
		}
		report.Results = append(report.Results, result)
		result.write(os.Stdout)
	}
	if o.json == "" {
		return nil
	}
	return report.writeJSON(o.json)
}

func parseSize(text string) (synthetic.Size, error) {
	services, overlays, found := strings.Cut(text, "x")
	n, err := strconv.Atoi(services)
	m, err2 := strconv.Atoi(overlays)
	if !found || err != nil || err2 != nil || n < 1 || m < 1 {
		return synthetic.Size{}, fmt.Errorf("the size %q is not services x overlays, as 100x5", text)
	}
	return synthetic.Size{Services: n, Overlays: m}, nil
}
