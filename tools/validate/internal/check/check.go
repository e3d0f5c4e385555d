// Package check takes overlays through the whole run: render, decode, evaluate, trace, report.
package check

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/ft-services/ft-services/tools/validate/internal/attribute"
	"github.com/ft-services/ft-services/tools/validate/internal/bound"
	"github.com/ft-services/ft-services/tools/validate/internal/field"
	"github.com/ft-services/ft-services/tools/validate/internal/manifest"
	"github.com/ft-services/ft-services/tools/validate/internal/overlay"
	"github.com/ft-services/ft-services/tools/validate/internal/policy"
	"github.com/ft-services/ft-services/tools/validate/internal/report"
	"github.com/ft-services/ft-services/tools/validate/internal/stats"
	"github.com/ft-services/ft-services/tools/validate/internal/waiver"
)

// Checker holds what every overlay is checked with.
type Checker struct {
	Policies *policy.Set
	Decoder  *manifest.Decoder
	Waivers  *waiver.List
	// All says that Run is given every overlay there is: then a waiver without a finding is of no use.
	All bool
	// Selection says which policies to run.
	Selection Selection
	// Strict makes a waiver that covers nothing an error.
	Strict bool
	// FailOn is the least severity that fails the run.
	FailOn string
	// Jobs is how many overlays are checked at once; 0 is as many as there are processors.
	Jobs int
	// Timeout is how long an overlay may take; 0 is as long as it wants.
	Timeout time.Duration
	// Overran are the overlays that took too much memory in an earlier start, with the errors to report.
	Overran map[string]string
	// OneByOne checks one overlay with one policy at a time, to tell which takes the memory.
	OneByOne bool
	// Stats records what is done, when there is one.
	Stats *stats.Recorder
}

// Stages returns what Stats measures, in the order of the run.
func Stages() []string { return []string{"render", "decode", "evaluate", "trace"} }

// Run checks the overlays concurrently and reports them in the order given. An overlay that cannot be
// checked, or not wholly, has its Error set and does not keep the others from being checked.
func (c *Checker) Run(ctx context.Context, dirs []string) *report.Report {
	overlay.Warm()
	policies := c.Policies.Select(c.Selection.Has)
	tracer := attribute.New()
	outcomes := make([]outcome, len(dirs))
	var group errgroup.Group
	group.SetLimit(cmp.Or(c.Jobs, runtime.GOMAXPROCS(0)))
	if c.OneByOne {
		group.SetLimit(1)
	}
	for i, dir := range dirs {
		group.Go(func() error {
			c.checkBounded(ctx, policies, tracer, &outcomes[i], dir)
			return nil
		})
	}
	_ = group.Wait() // An error is its overlay's own.
	for i, dir := range dirs {
		if outcomes[i].alone {
			outcomes[i] = outcome{}
			c.checkBounded(overlay.Alone(ctx), policies, tracer, &outcomes[i], dir)
		}
	}

	result := &report.Report{Policies: policies.Policies(), FailOn: c.FailOn}
	for _, each := range Builtin() {
		if c.Selection.Has(each.Name) {
			result.Checks = append(result.Checks, each)
		}
	}
	for i := range outcomes {
		findings := c.waive(&outcomes[i])
		result.Add(outcomes[i].report, findings)
	}
	result.Findings = append(result.Findings, c.waiverFindings(result)...)
	c.Stats.Count("overlays", len(dirs))
	c.Stats.Count("policies", len(result.Policies))
	return result
}

// outcome is what is known of an overlay before the waivers are looked at.
type outcome struct {
	report report.Overlay
	found  []located
	failed []failure
	alone  bool // it could not be checked beside others
}

// failure is why the policies could not be evaluated on an object.
type failure struct {
	object string
	err    error
}

func (o *outcome) fail(err error) {
	if o.report.Error != "" {
		o.report.Error += "\n"
	}
	o.report.Error += err.Error()
}

func (c *Checker) checkBounded(ctx context.Context, policies *policy.Set, tracer *attribute.Tracer, outcome *outcome, dir string) {
	outcome.report = report.Overlay{Name: dir}
	if reason, overran := c.Overran[dir]; overran {
		outcome.fail(errors.New(reason))
		return
	}
	ctx, cancel := WithTimeout(ctx, c.Timeout)
	defer cancel()
	ctx, end := bound.Begin(ctx, dir)
	defer end()
	defer func() {
		if r := recover(); r != nil {
			outcome.fail(fmt.Errorf("checking %s: crashed: %v", dir, r))
		}
	}()
	if err := c.checkOne(ctx, policies, tracer, outcome); err != nil {
		outcome.fail(err)
	}
}

// WithTimeout is context.WithTimeout with a cause that says what to do; a timeout of 0 is none.
func WithTimeout(ctx context.Context, timeout time.Duration) (context.Context, context.CancelFunc) {
	if timeout == 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeoutCause(ctx, timeout, fmt.Errorf("takes longer than %s; make it smaller, or allow more with --timeout", timeout))
}

func (c *Checker) checkOne(ctx context.Context, policies *policy.Set, tracer *attribute.Tracer, outcome *outcome) error {
	name := outcome.report.Name
	bound.Doing(ctx, "rendering "+name)
	stop := c.Stats.Stage("render")
	rendered, err := overlay.Render(ctx, name)
	stop()
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		bound.Overran(ctx)
	}
	if errors.Is(err, overlay.ErrAlone) {
		outcome.alone = true
		return nil
	}
	if err != nil {
		return err
	}
	resources := rendered.Resources()
	if len(resources) == 0 {
		return fmt.Errorf("rendering %s: it yields no object", name)
	}
	outcome.report.Objects = len(resources)
	c.Stats.Count("objects", len(resources))

	bound.Doing(ctx, "decoding "+name)
	stop = c.Stats.Stage("decode")
	objects := make([]*manifest.Object, len(resources))
	values := make([]map[string]any, len(resources))
	var found []located
	schema := builtin(SchemaPolicy)
	for i, resource := range resources {
		object, defects, err := c.Decoder.Decode(&resource.RNode)
		if err != nil {
			return fmt.Errorf("decoding %s: %w", name, err)
		}
		objects[i], values[i] = object, object.Value
		if !c.Selection.Has(SchemaPolicy) {
			continue
		}
		for _, defect := range defects {
			found = append(found, located{i, defect.Path, finding(schema, fmt.Sprintf("%s %s: %s", object.Kind, object.Name, defect.Text))})
		}
	}
	stop()
	stop = c.Stats.Stage("evaluate")
	results, err := c.evaluate(ctx, policies, name, values)
	stop()
	c.Stats.Count("evaluations", len(objects)*len(policies.Policies()))
	if failures := (policy.Failures)(nil); errors.As(err, &failures) {
		for _, i := range slices.Sorted(maps.Keys(failures)) {
			outcome.failed = append(outcome.failed, failure{objects[i].String(), failures[i]})
		}
	} else if err != nil {
		return err
	}
	for _, result := range results {
		finding := finding(result.Policy, result.Text)
		finding.Value = result.Value
		found = append(found, located{result.Object, result.Path, finding})
	}
	if len(found) == 0 {
		return nil
	}
	bound.Doing(ctx, "tracing the findings of "+name)
	stop = c.Stats.Stage("trace")
	defer stop()
	slices.SortStableFunc(found, func(a, b located) int { return a.object - b.object })
	traced := tracer.Overlay(name, resources)
	for i := range found {
		item := &found[i]
		object := objects[item.object]
		item.finding.Object = object.String()
		item.finding.Field = field.Format(item.path)
		item.finding.Container = manifest.Container(object.Value, item.path)
		place := traced.Place(ctx, attribute.ID{Kind: object.Kind, Namespace: object.Namespace, Name: object.Name}, item.path)
		item.finding.File, item.finding.Line, item.finding.Column = place.File, place.Line, place.Column
	}
	outcome.found = found
	if ctx.Err() != nil {
		return fmt.Errorf("tracing %s: %w", name, context.Cause(ctx)) // The findings stand without their lines.
	}
	return nil
}

// located is a finding, the index of its object and the field in it.
type located struct {
	object  int
	path    []any
	finding report.Finding
}

func finding(broken *policy.Policy, message string) report.Finding {
	return report.Finding{Policy: broken.Name, Severity: broken.Severity, Message: message, Remediation: broken.Remediation}
}

// waive runs after all overlays, in their order, so that the outcome does not depend on which of them
// was done first.
func (c *Checker) waive(outcome *outcome) []report.Finding {
	defective := map[string]bool{}
	findings := make([]report.Finding, 0, len(outcome.found))
	for _, item := range outcome.found {
		finding := item.finding
		excuse := c.Waivers.Excuse(waiver.Finding{
			Policy: finding.Policy, Overlay: outcome.report.Name, Object: finding.Object,
			Path: item.path, Container: finding.Container,
		})
		if excuse != nil {
			finding.Waived = &report.Waiver{Reason: excuse.Reason, Owner: excuse.Owner, Expires: excuse.Expires}
		} else if finding.Policy == SchemaPolicy {
			defective[finding.Object] = true
		}
		findings = append(findings, finding)
	}
	var said []string
	for _, failure := range outcome.failed {
		// A policy may stumble over a value of the wrong type, which fails the run as a finding already.
		// One policy stumbles over many objects with the same words.
		if text := failure.err.Error(); !defective[failure.object] && !slices.Contains(said, text) {
			said = append(said, text)
			outcome.fail(fmt.Errorf("%w (%s)", failure.err, failure.object))
		}
	}
	return findings
}

// waiverFindings are about the waivers themselves.
func (c *Checker) waiverFindings(result *report.Report) []report.Finding {
	var findings []report.Finding
	add := func(check string, about waiver.Waiver, format string) {
		if c.Selection.Has(check) && c.Selection.Has(about.Policy) {
			finding := finding(builtin(check), fmt.Sprintf(format, about.Policy, about.Object, about.Expires))
			finding.File, finding.Line = c.Waivers.File, about.Line
			if check == WaiverUnused && c.Strict {
				finding.Severity = policy.SeverityError
			}
			findings = append(findings, finding)
		}
	}
	for _, ended := range c.Waivers.Ended() {
		add(WaiverExpired, ended, "the waiver of %s on %s ended on %s: what it excused counts again")
	}
	var checked []string
	for _, overlay := range result.Overlays {
		if overlay.Error != "" {
			return findings // What was not checked may be what a waiver is for.
		}
		checked = append(checked, overlay.Name)
	}
	for _, unused := range c.Waivers.Unused(checked, c.All) {
		add(WaiverUnused, unused, "the waiver of %s on %s until %s covers nothing")
	}
	return findings
}
