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
	"sigs.k8s.io/kustomize/api/resource"

	"github.com/ft-services/ft-services/tools/validate/internal/attribute"
	"github.com/ft-services/ft-services/tools/validate/internal/bound"
	"github.com/ft-services/ft-services/tools/validate/internal/field"
	"github.com/ft-services/ft-services/tools/validate/internal/manifest"
	"github.com/ft-services/ft-services/tools/validate/internal/overlay"
	"github.com/ft-services/ft-services/tools/validate/internal/policy"
	"github.com/ft-services/ft-services/tools/validate/internal/report"
	"github.com/ft-services/ft-services/tools/validate/internal/schema"
	"github.com/ft-services/ft-services/tools/validate/internal/stats"
	"github.com/ft-services/ft-services/tools/validate/internal/waiver"
)

// Checker holds what every overlay is checked with.
type Checker struct {
	Policies *policy.Set
	Schemas  *schema.Library
	// Definitions are CustomResourceDefinitions besides those that the overlays bring.
	Definitions []*schema.Definition
	Kubernetes  Kubernetes
	// Others are overlays that a change does not touch. They are rendered when what they define matters,
	// and checked when what they use may be defined anew.
	Others  []string
	Waivers *waiver.List
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
	r := &run{c, c.Policies.Select(c.Selection.Has), attribute.New()}
	outcomes := r.begin(ctx, dirs, true)
	brought := definitions(outcomes)
	waiting := func(o outcome) bool { return o.rendered != nil }
	switch {
	case len(c.Others) == 0:
	case len(brought) > 0:
		outcomes = append(outcomes, r.begin(ctx, c.Others, true)...)
		brought = definitions(outcomes)
	case slices.ContainsFunc(outcomes, waiting):
		others := r.begin(ctx, c.Others, false)
		brought = definitions(others)
		// One that does not render may be the one that has what is missing.
		outcomes = append(outcomes, slices.DeleteFunc(others, func(o outcome) bool { return o.report.Error == "" })...)
	}
	c.each(ctx, outcomes, waiting, func(ctx context.Context, outcome *outcome) error {
		return r.check(ctx, outcome, brought)
	})

	result := &report.Report{Policies: r.policies.Policies(), FailOn: c.FailOn}
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
	c.Stats.Count("overlays", len(outcomes))
	c.Stats.Count("policies", len(result.Policies))
	return result
}

// run is a Checker at work.
type run struct {
	*Checker
	policies *policy.Set
	tracer   *attribute.Tracer
}

// begin renders overlays, and checks those at once that need no definition of another: a rendering is
// large. The others wait for what their neighbours define.
func (r *run) begin(ctx context.Context, dirs []string, check bool) []outcome {
	outcomes := make([]outcome, len(dirs))
	for i, dir := range dirs {
		outcomes[i].report = report.Overlay{Name: dir}
		if reason, overran := r.Overran[dir]; overran {
			outcomes[i].fail(errors.New(reason))
		}
	}
	sound := func(o outcome) bool { return o.report.Error == "" }
	r.each(ctx, outcomes, sound, func(ctx context.Context, outcome *outcome) error {
		if err := r.render(ctx, outcome); err != nil || outcome.rendered == nil {
			return err
		}
		if !check {
			outcome.rendered = nil
			return nil
		}
		if r.lacksDefinitions(outcome) {
			return nil
		}
		return r.check(ctx, outcome, nil)
	})
	return outcomes
}

// definitions are those of all overlays, in their order.
func definitions(outcomes []outcome) []*schema.Definition {
	var all []*schema.Definition
	for i := range outcomes {
		all = append(all, outcomes[i].definitions...)
	}
	return all
}

// lacksDefinitions tells whether an overlay has an object of a kind that neither its Kubernetes nor a
// definition at hand knows: another overlay may have that.
func (c *Checker) lacksDefinitions(outcome *outcome) bool {
	set, err := c.Schemas.Set(c.Kubernetes.Of(outcome.report.Name), slices.Concat(outcome.definitions, c.Definitions)...)
	if err != nil {
		return false // The check of the overlay says so.
	}
	return slices.ContainsFunc(outcome.rendered.Resources(), func(resource *resource.Resource) bool {
		gvk := resource.GetGvk()
		return !set.Given(gvk.Group, gvk.Kind)
	})
}

// each calls do for every overlay that is wanted, several at once, and then, one by one, for those that
// bear no other beside them. An error is its overlay's own.
func (c *Checker) each(ctx context.Context, outcomes []outcome, wanted func(outcome) bool, do func(context.Context, *outcome) error) {
	var group errgroup.Group
	group.SetLimit(cmp.Or(c.Jobs, runtime.GOMAXPROCS(0)))
	if c.OneByOne {
		group.SetLimit(1)
	}
	for i := range outcomes {
		if wanted(outcomes[i]) && !outcomes[i].alone {
			group.Go(func() error {
				c.bounded(ctx, &outcomes[i], do)
				return nil
			})
		}
	}
	_ = group.Wait()
	for i := range outcomes {
		if wanted(outcomes[i]) && outcomes[i].alone {
			c.bounded(overlay.Alone(ctx), &outcomes[i], do)
		}
	}
}

// outcome is what is known of an overlay before the waivers are looked at.
type outcome struct {
	rendered    *overlay.Rendered
	definitions []*schema.Definition

	report report.Overlay
	found  []located
	failed []failure
	alone  bool // it bears no other beside it
	used   time.Duration
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

// bounded keeps what is done with an overlay within the limits, and within itself.
func (c *Checker) bounded(ctx context.Context, outcome *outcome, do func(context.Context, *outcome) error) {
	ctx, cancel := withTimeout(ctx, c.Timeout, outcome.used)
	defer cancel()
	begun := time.Now()
	defer func() { outcome.used += time.Since(begun) }()
	ctx, end := bound.Begin(ctx, outcome.report.Name)
	defer end()
	defer func() {
		if r := recover(); r != nil {
			outcome.fail(fmt.Errorf("checking %s: crashed: %v", outcome.report.Name, r))
		}
	}()
	if err := do(ctx, outcome); err != nil {
		outcome.fail(err)
	}
}

// WithTimeout is context.WithTimeout with a cause that says what to do; a timeout of 0 is none.
func WithTimeout(ctx context.Context, timeout time.Duration) (context.Context, context.CancelFunc) {
	return withTimeout(ctx, timeout, 0)
}

// withTimeout is WithTimeout for what has used a part of the time already.
func withTimeout(ctx context.Context, timeout, used time.Duration) (context.Context, context.CancelFunc) {
	if timeout == 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeoutCause(ctx, timeout-used, fmt.Errorf("takes longer than %s; make it smaller, or allow more with --timeout", timeout))
}

// render builds the overlay and picks out the CustomResourceDefinitions.
func (c *Checker) render(ctx context.Context, outcome *outcome) error {
	name := outcome.report.Name
	bound.Doing(ctx, "rendering "+name)
	defer c.Stats.Stage("render")()
	rendered, err := overlay.Render(ctx, name)
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
	for _, resource := range resources {
		if resource.GetKind() != schema.DefinitionKind {
			continue
		}
		object, _, err := manifest.Read(&resource.RNode)
		if err != nil {
			return fmt.Errorf("decoding %s: %w", name, err)
		}
		definition, err := schema.NewDefinition(object.Value, name)
		if err != nil {
			return fmt.Errorf("decoding %s: %w", name, err)
		}
		if definition != nil {
			outcome.definitions = append(outcome.definitions, definition)
		}
	}
	outcome.rendered = rendered
	return nil
}

// decoder knows what the overlay's cluster knows. The definitions of the overlay itself go before those
// that were asked for, and these before what other overlays bring.
func (c *Checker) decoder(outcome *outcome, brought []*schema.Definition) (*manifest.Decoder, error) {
	set, err := c.Schemas.Set(c.Kubernetes.Of(outcome.report.Name), slices.Concat(outcome.definitions, c.Definitions, brought)...)
	if err != nil {
		return nil, err
	}
	return manifest.NewDecoder(set), nil
}

// check looks at the objects of a rendered overlay and lets go of them.
func (r *run) check(ctx context.Context, outcome *outcome, brought []*schema.Definition) error {
	c, policies := r.Checker, r.policies
	name, resources := outcome.report.Name, outcome.rendered.Resources()
	defer func() { outcome.rendered = nil }() // It is large.
	bound.Doing(ctx, "decoding "+name)
	stop := c.Stats.Stage("decode")
	decoder, err := c.decoder(outcome, brought)
	if err != nil {
		return fmt.Errorf("decoding %s: %w", name, err)
	}
	objects := make([]*manifest.Object, len(resources))
	values := make([]map[string]any, len(resources))
	var found []located
	strict := builtin(SchemaPolicy)
	for i, resource := range resources {
		object, defects, err := decoder.Decode(ctx, &resource.RNode)
		if err != nil {
			return fmt.Errorf("decoding %s: %w", name, err)
		}
		objects[i], values[i] = object, object.Value
		if !c.Selection.Has(SchemaPolicy) {
			continue
		}
		for _, defect := range defects {
			found = append(found, located{i, defect.Path, finding(strict, fmt.Sprintf("%s %s: %s", object.Kind, object.Name, defect.Text))})
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
	traced := r.tracer.Overlay(name, resources)
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
