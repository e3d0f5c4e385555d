package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/ft-services/ft-services/tools/validate/internal/bound"
	"github.com/ft-services/ft-services/tools/validate/internal/check"
	"github.com/ft-services/ft-services/tools/validate/internal/git"
	"github.com/ft-services/ft-services/tools/validate/internal/manifest"
	"github.com/ft-services/ft-services/tools/validate/internal/names"
	"github.com/ft-services/ft-services/tools/validate/internal/overlay"
	"github.com/ft-services/ft-services/tools/validate/internal/policy"
	"github.com/ft-services/ft-services/tools/validate/internal/schema"
	"github.com/ft-services/ft-services/tools/validate/internal/stats"
	"github.com/ft-services/ft-services/tools/validate/internal/waiver"
)

const usage = `Renders Kustomize overlays and checks every object against its type and against Rego policies.
Works offline; checking changes nothing. A finding names the file, line and column where the value was
written: base, patch, component, generator or another entry of a kustomization.

Usage:
  validate [flags] [path…]      check overlays, or those below a directory; without one, all below overlays/
  validate diff REF [path…]     print what a change does to the rendered overlays
  validate docs [--check]       write the policies' README from their METADATA
  validate test [directory]     run the Rego tests and the fixtures of a policy folder

An overlay of the name diff, docs or test is named ./diff, ./docs or ./test.

Examples:
  validate                                check everything
  validate overlays/minikube              check one overlay
  validate --changed                      check those that read what is not committed yet
  validate --changed=origin/main          check those that read what a branch changes
  validate -o json > report.json          the same as JSON
  validate -o sarif=out.sarif -o junit=out.xml     text for people, and two files
  validate --only 'services/*'            check what one category promises
  validate --kubernetes 1.36              does the next minor version take them?
  validate --crds vendor/crds             check custom resources against these definitions too
  validate .                              check every kustomization that no other one uses
  validate --policies embedded overlays/minikube   … with the policies that this program carries
  validate --policies DIR --data FILE     … with conftest's policies
  validate --render overlays/minikube     print what is checked, as kubectl kustomize does
  validate --list-policies                what is promised, and by which requirement
  validate --explain services/no_nodeport     one promise: why, and how to keep it

Flags:
%s
Policies are packages policies.<category>.<name> with a rule deny, which see the other objects of the
overlay and the facts; or, in a folder without such a package, conftest's: the rules deny, violation and
warn, with or without a suffix, and exception. Of conftest, trace, --combine and its own functions are not
supported. Those embedded are used when policies/ holds none; what lacks a fact is not checked, and named
on stderr. No policy reaches the network, the clock or the environment.

Formats are text, json, sarif (2.1.0), junit and github (workflow commands, which annotate the files
of a pull request). A format without FILE goes to stdout, which carries nothing else, and is text when
none is chosen for it. In GitHub Actions, github is added by itself: to stdout behind the text, or to
stderr when stdout carries another format.

With --changed, what counts is how the working tree, files that git does not track among it, differs
from the commit at which HEAD left REF: HEAD by default, in a pull request of GitHub the branch that it
is for. Only overlays that would read a changed file are checked; all, when policies, facts, waivers,
a CustomResourceDefinition or the validator have changed. With no overlay left the run is clean, and says so on stderr.

An overlay that takes longer than --timeout is not checked; nor is one that takes more memory than
GOMEMLIMIT in the environment, 1 GiB when that is not set. The others are.

Exit codes:
  0  clean
  1  violations, failing tests, a stale README, or a difference (diff --exit-code)
  2  wrong usage
  3  could not render, evaluate or write
`

// overlaysRoot is where overlays are looked for when none is named.
const overlaysRoot = overlay.Dir

type options struct {
	outputs      outputs
	folder       folder
	waivers      string
	kubernetes   string
	crds         []string
	strict       bool
	failOn       string
	selection    check.Selection
	jobs         int
	timeout      time.Duration
	overran      []string
	oneByOne     bool
	stats        bool
	listPolicies bool
	explain      string
	render       bool
	changed      string
	overlays     []string

	git git.Program
}

var severities = []string{policy.SeverityError, policy.SeverityWarning}

// validate is the command that checks overlays.
func (p Program) validate(args []string) (action, string, error) {
	o := options{git: p.Git}
	var chosen []string
	flags := newFlags()
	flags.StringArrayVarP(&chosen, "output", "o", nil, "report as `FORMAT[=FILE]`; repeatable, once without FILE")
	o.folder.addTo(flags)
	flags.StringArrayVar(&o.selection.Only, "only", nil, "check only the `POLICY`, a glob such as 'services/*'; repeatable")
	flags.StringArrayVar(&o.selection.Skip, "skip", nil, "do not check the `POLICY`, a glob; repeatable")
	flags.StringVar(&o.failOn, "fail-on", policy.SeverityError, "least `severity` that fails the run: "+strings.Join(severities, " or "))
	flags.StringVar(&o.kubernetes, "kubernetes", "", "`version` that the clusters run, such as 1.36 (default: the fact kubernetes, or else the newest known); known: "+strings.Join(schema.Minors(), ", "))
	flags.StringArrayVar(&o.crds, "crds", nil, "`path` of CustomResourceDefinitions, a file or a directory, besides those that overlays bring; repeatable")
	flags.StringVar(&o.waivers, "waivers", "", "`file` of temporary exceptions (default: "+policy.WaiversFile+" where the facts lie, if there is one)")
	flags.StringVar(&o.changed, "changed", "", "check only overlays that read what has changed since `REF`")
	flags.Lookup("changed").NoOptDefVal = changedSince()
	flags.BoolVar(&o.strict, "strict", false, "a waiver that covers nothing is an error")
	flags.IntVar(&o.jobs, "jobs", 0, "check `N` overlays at once (default: as many as there are processors)")
	flags.DurationVar(&o.timeout, "timeout", time.Minute, "`time` that one overlay may take")
	flags.BoolVar(&o.stats, "stats", false, "print to stderr what was done and how long each stage took")
	flags.BoolVar(&o.render, "render", false, "print the rendered overlay instead of checking it")
	flags.BoolVar(&o.listPolicies, "list-policies", false, "print the policies, as text or JSON, and exit")
	flags.StringVar(&o.explain, "explain", "", "print what the `POLICY` promises, as text or JSON, and exit")
	restartFlags(flags, &o)
	help := fmt.Sprintf(usage, flags.FlagUsages())
	if err := parse(flags, args); err != nil {
		return nil, help, err
	}
	o.overlays = flags.Args()
	var err error
	if o.outputs, err = parseOutputs(chosen); err != nil {
		return nil, help, err
	}
	if flags.Changed("jobs") && o.jobs < 1 {
		return nil, help, mistake("--jobs is %d; at least 1 is needed", o.jobs)
	}
	if flags.Changed("kubernetes") && o.kubernetes == "" {
		return nil, help, mistake("--kubernetes wants a version; known: %s", strings.Join(schema.Minors(), ", "))
	}
	if o.timeout <= 0 {
		return nil, help, mistake("--timeout is %s; more than nothing is needed", o.timeout)
	}
	if flags.Changed("changed") {
		if err := checkRef(o.changed, o.overlays); err != nil {
			return nil, help, err
		}
	}
	if flags.Changed("explain") && o.explain == "" {
		return nil, help, mistake("--explain wants the name of a policy, as in --list-policies")
	}
	return o.run, help, o.check()
}

// check finds what excludes each other.
func (o options) check() error {
	if err := o.folder.check(); err != nil {
		return err
	}
	if !slices.Contains(severities, o.failOn) {
		return mistake("unknown severity %q for --fail-on; known: %s", o.failOn, strings.Join(severities, ", "))
	}
	if o.render && len(o.overlays) != 1 {
		return mistake("--render takes exactly one overlay")
	}
	var instead []string
	for _, each := range []struct {
		flag string
		set  bool
	}{{"--render", o.render}, {"--list-policies", o.listPolicies}, {"--explain", o.explain != ""}} {
		if each.set {
			instead = append(instead, each.flag)
		}
	}
	if len(instead) > 1 {
		return mistake("%s exclude each other", strings.Join(instead, " and "))
	}
	if len(instead) == 0 {
		return nil
	}
	if o.changed != "" {
		return mistake("%s and --changed exclude each other", instead[0])
	}
	if o.render && len(o.outputs) > 0 {
		return mistake("--render prints YAML; it takes no --output")
	}
	for _, output := range o.outputs {
		if output.file != "" || output.format != "text" && output.format != "json" {
			return mistake("%s prints text or json to stdout, not %s", instead[0], output)
		}
	}
	return nil
}

func (o options) run(ctx context.Context, stdout, stderr io.Writer) (int, error) {
	if o.render {
		return ExitClean, o.printRendered(ctx, stdout)
	}
	var recorder *stats.Recorder
	if o.stats {
		recorder = stats.New([]string{"overlays", "objects", "policies", "evaluations"}, slices.Concat([]string{"load"}, check.Stages(), []string{"report"}))
	}
	stop := recorder.Stage("load")
	go overlay.Warm() // It takes as long as the policies do, and needs nothing of them.
	policies, err := o.folder.load(stderr)
	if err != nil {
		return ExitFailed, err
	}
	if err := o.checkNames(policies); err != nil {
		return ExitUsage, err
	}
	if o.explain != "" {
		return ExitClean, explain(find(known(policies), o.explain), o.outputs.stdout(), stdout)
	}
	sayIdle(policies, o.selection, stderr)
	if o.listPolicies {
		return ExitClean, listPolicies(o.selected(policies), o.outputs.stdout(), stdout)
	}
	checker := &check.Checker{
		Policies:  policies,
		Schemas:   schema.NewLibrary(),
		All:       len(o.overlays) == 0,
		Selection: o.selection,
		Strict:    o.strict,
		FailOn:    o.failOn,
		Jobs:      o.jobs,
		Timeout:   o.timeout,
		Overran:   o.overranReasons(),
		OneByOne:  o.oneByOne,
		Stats:     recorder,
	}
	if checker.Waivers, err = loadWaivers(o, check.Waivable(policies)); err != nil {
		return ExitFailed, err
	}
	if checker.Kubernetes, err = o.versions(policies); err != nil {
		return ExitFailed, err
	}
	if checker.Definitions, err = manifest.LoadDefinitions(o.crds); err != nil {
		return ExitFailed, err
	}
	overlays, err := choose(o.overlays)
	if err != nil {
		return ExitFailed, err
	}
	if o.changed != "" {
		all := overlays
		if overlays, err = o.narrow(ctx, all, stderr); err != nil {
			return ExitFailed, err
		}
		checker.All = checker.All && len(overlays) == len(all)
		checker.Others = slices.DeleteFunc(slices.Clone(all), func(dir string) bool { return slices.Contains(overlays, dir) })
	}
	stop()

	result := checker.Run(ctx, overlays)
	result.Root = repositoryRoot()
	stop = recorder.Stage("report")
	err = o.outputs.inActions().write(result, stdout, stderr)
	stop()
	if err := errors.Join(err, recorder.Write(stderr)); err != nil {
		return ExitFailed, err
	}
	switch {
	case result.Count().Failed > 0:
		return ExitFailed, nil
	case slices.ContainsFunc(result.Findings, result.Fails):
		return ExitViolations, nil
	}
	return ExitClean, nil
}

// versions says which Kubernetes the overlays are for.
func (o options) versions(policies *policy.Set) (check.Kubernetes, error) {
	if o.kubernetes == "" {
		return check.KubernetesOf(policies.Facts())
	}
	versions, err := check.OnlyKubernetes(o.kubernetes)
	if err != nil {
		return versions, mistake("--kubernetes: %v", err)
	}
	return versions, nil
}

// checkNames refuses patterns that mean no policy, and such that leave none.
func (o options) checkNames(policies *policy.Set) error {
	var all []string
	for _, each := range known(policies) {
		all = append(all, each.Name)
	}
	for _, each := range []struct {
		flag     string
		patterns []string
	}{{"--only", o.selection.Only}, {"--skip", o.selection.Skip}} {
		if err := names.Check("policy", each.patterns, all); err != nil {
			return mistake("%s: %v", each.flag, err)
		}
	}
	if o.explain != "" && !slices.Contains(all, o.explain) {
		return mistake("--explain: %v", names.Unknown("policy", o.explain, all))
	}
	checked := check.All(policies)
	if o.listPolicies {
		checked = known(policies)
	}
	if !slices.ContainsFunc(checked, func(p *policy.Policy) bool { return o.selection.Has(p.Name) }) {
		if len(o.selected(policies)) > 0 {
			return mistake("--only and --skip leave no policy to check, but such as lack a fact (--explain names it)")
		}
		return mistake("--only and --skip leave no policy to check")
	}
	return nil
}

// known are the policies and checks that have a name, those that lack a fact too.
func known(policies *policy.Set) []*policy.Policy {
	return policy.Sorted(slices.Concat(check.Builtin(), policies.Known()))
}

func (o options) selected(policies *policy.Set) []*policy.Policy {
	return slices.DeleteFunc(known(policies), func(p *policy.Policy) bool { return !o.selection.Has(p.Name) })
}

func find(policies []*policy.Policy, name string) *policy.Policy {
	return policies[slices.IndexFunc(policies, func(p *policy.Policy) bool { return p.Name == name })]
}

// choose returns the overlays that are named, each once, or all there are.
func choose(named []string) ([]string, error) {
	if len(named) == 0 {
		if _, err := os.Stat(overlaysRoot); errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("looking for overlays in %s: no such directory; name an overlay, or a directory below which overlays lie, as in validate .", overlaysRoot)
		}
		return overlay.Find(overlaysRoot)
	}
	var chosen []string
	for _, name := range named {
		meant, err := overlay.Within(filepath.Clean(name))
		if err != nil {
			return nil, err
		}
		for _, dir := range meant {
			if !slices.Contains(chosen, dir) {
				chosen = append(chosen, dir)
			}
		}
	}
	return chosen, nil
}

func loadWaivers(o options, policies []string) (*waiver.List, error) {
	file := cmp.Or(o.waivers, filepath.Join(o.folder.beside(), policy.WaiversFile))
	return waiver.Load(file, o.waivers == "", policies, time.Now().UTC())
}

// repositoryRoot is the directory above the working directory that holds a repository, empty when
// there is none. In GitHub Actions it is where the repository was checked out.
func repositoryRoot() string {
	here, err := filepath.Abs(".")
	if err != nil {
		return ""
	}
	workspace := os.Getenv("GITHUB_WORKSPACE")
	for dir := here; ; dir = filepath.Dir(dir) {
		if _, err := os.Lstat(filepath.Join(dir, ".git")); err == nil || dir == workspace {
			return dir
		}
		if dir == filepath.Dir(dir) {
			return ""
		}
	}
}

func (o options) printRendered(ctx context.Context, stdout io.Writer) error {
	dir := filepath.Clean(o.overlays[0])
	if reason, overran := o.overranReasons()[dir]; overran {
		return errors.New(reason)
	}
	ctx, cancel := check.WithTimeout(ctx, o.timeout)
	defer cancel()
	ctx, end := bound.Begin(ctx, dir)
	defer end()
	bound.Doing(ctx, "rendering "+dir)
	rendered, err := overlay.Render(overlay.Alone(ctx), dir)
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

func listPolicies(policies []*policy.Policy, format string, stdout io.Writer) error {
	if format == "json" {
		return printJSON(policies, stdout)
	}
	table := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "POLICY\tSEVERITY\tREQUIREMENTS\tTITLE")
	for _, each := range policies {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", each.Name, each.Severity, cmp.Or(strings.Join(each.Requirements, ","), "-"), each.Title)
	}
	if err := table.Flush(); err != nil {
		return fmt.Errorf("printing the policies: %w", err)
	}
	return nil
}

func explain(p *policy.Policy, format string, stdout io.Writer) error {
	if format == "json" {
		return printJSON(p, stdout)
	}
	var text strings.Builder
	fmt.Fprintf(&text, "%s: %s\n\n", p.Name, p.Title)
	if p.Description != "" {
		fmt.Fprintf(&text, "%s\n\n", p.Description)
	}
	table := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	for _, row := range []struct {
		name   string
		values []string
	}{
		{"mend", []string{p.Remediation}},
		{"severity", []string{p.Severity}},
		{"requirements", []string{strings.Join(p.Requirements, ", ")}},
		{"facts", []string{strings.Join(p.Facts, ", ")}},
		{"links", p.RelatedResources},
		{"file", []string{p.File}},
	} {
		for i, value := range row.values {
			if i > 0 {
				row.name = ""
			}
			if value != "" {
				fmt.Fprintf(table, "%s\t%s\n", row.name, value)
			}
		}
	}
	if err := table.Flush(); err != nil {
		return fmt.Errorf("printing the policy: %w", err)
	}
	if _, err := io.WriteString(stdout, text.String()); err != nil {
		return fmt.Errorf("printing the policy: %w", err)
	}
	return nil
}

func printJSON(value any, stdout io.Writer) error {
	encoder := json.NewEncoder(stdout)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return fmt.Errorf("printing the policies as JSON: %w", err)
	}
	return nil
}
