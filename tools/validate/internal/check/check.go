// Package check takes overlays through the whole run: render, decode, evaluate, trace, report.
package check

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/ft-services/ft-services/tools/validate/internal/manifest"
	"github.com/ft-services/ft-services/tools/validate/internal/overlay"
	"github.com/ft-services/ft-services/tools/validate/internal/policy"
	"github.com/ft-services/ft-services/tools/validate/internal/report"
	"github.com/ft-services/ft-services/tools/validate/internal/waiver"
)

// SchemaPolicy is the name under which fields that do not fit their type are reported.
const SchemaPolicy = "schema/strict"

const schemaRemediation = "Write the field as the kind's API reference has it; remove what the type does not know."

// Checker holds what every overlay is checked with.
type Checker struct {
	Policies *policy.Set
	Decoder  *manifest.Decoder
	Waivers  *waiver.List
	// All says that Run is given every overlay there is: then a waiver without a finding is of no use.
	All bool
}

// Run checks the overlays concurrently and reports them in the order given. An overlay that cannot be
// checked, or not wholly, has its Error set and does not keep the others from being checked.
func (c *Checker) Run(ctx context.Context, dirs []string) *report.Report {
	overlay.Warm()
	outcomes := make([]outcome, len(dirs))
	var group sync.WaitGroup
	for i, dir := range dirs {
		group.Go(func() {
			outcomes[i].report = report.Overlay{Name: dir, Findings: []report.Finding{}}
			if err := c.checkOne(ctx, &outcomes[i]); err != nil {
				outcomes[i].fail(err)
			}
		})
	}
	group.Wait()

	result := &report.Report{Policies: len(c.Policies.Policies())}
	for i := range outcomes {
		c.waive(&outcomes[i])
		result.Overlays = append(result.Overlays, outcomes[i].report)
	}
	result.Warnings = c.warnings(result)
	return result
}

// outcome is what is known of an overlay before the waivers are looked at.
type outcome struct {
	report report.Overlay
	failed []failure
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

func (c *Checker) checkOne(ctx context.Context, outcome *outcome) error {
	name := outcome.report.Name
	rendered, err := overlay.Render(ctx, name)
	if err != nil {
		return err
	}
	resources := rendered.Resources()
	if len(resources) == 0 {
		return fmt.Errorf("rendering %s: it yields no object", name)
	}
	outcome.report.Objects = len(resources)

	objects := make([]*manifest.Object, len(resources))
	values := make([]map[string]any, len(resources))
	var found []located
	for i, resource := range resources {
		object, defects, err := c.Decoder.Decode(&resource.RNode)
		if err != nil {
			return fmt.Errorf("decoding %s: %w", name, err)
		}
		objects[i], values[i] = object, object.Value
		for _, defect := range defects {
			found = append(found, located{i, report.Finding{
				Policy:      SchemaPolicy,
				Severity:    policy.SeverityError,
				Field:       report.FieldPath(defect.Path),
				Message:     fmt.Sprintf("%s %s: %s", object.Kind, object.Name, defect.Text),
				Remediation: schemaRemediation,
			}})
		}
	}
	results, err := c.Policies.Evaluate(ctx, values)
	if failures := (policy.Failures)(nil); errors.As(err, &failures) {
		for _, i := range slices.Sorted(maps.Keys(failures)) {
			outcome.failed = append(outcome.failed, failure{objects[i].String(), failures[i]})
		}
	} else if err != nil {
		return err
	}
	for _, result := range results {
		finding := report.Finding{
			Policy:      result.Policy.Name,
			Severity:    result.Policy.Severity,
			Field:       report.FieldPath(result.Path),
			Value:       result.Value,
			Message:     result.Text,
			Remediation: result.Policy.Remediation,
		}
		found = append(found, located{result.Object, finding})
	}
	if len(found) == 0 {
		return nil
	}
	sources, err := rendered.Sources(ctx)
	if err != nil {
		sources = make([]string, len(objects)) // The findings stand without it.
	}
	slices.SortStableFunc(found, func(a, b located) int { return a.object - b.object })
	for _, item := range found {
		item.finding.Object = objects[item.object].String()
		item.finding.Source = sources[item.object]
		outcome.report.Findings = append(outcome.report.Findings, item.finding)
	}
	return err
}

// located is a finding and the index of its object.
type located struct {
	object  int
	finding report.Finding
}

// waive runs after all overlays, in their order, so that the outcome does not depend on which of them
// was done first.
func (c *Checker) waive(outcome *outcome) {
	defective := map[string]bool{}
	for i := range outcome.report.Findings {
		finding := &outcome.report.Findings[i]
		reason, excused := c.Waivers.Excuse(finding.Policy, outcome.report.Name, finding.Object)
		if excused {
			finding.Waived = reason
		} else if finding.Policy == SchemaPolicy {
			defective[finding.Object] = true
		}
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
}

func (c *Checker) warnings(result *report.Report) []string {
	var warnings []string
	for _, ended := range c.Waivers.Ended() {
		warnings = append(warnings, fmt.Sprintf("the waiver of %s on %s ended on %s", ended.Policy, ended.Object, ended.Expires))
	}
	var checked []string
	for _, overlay := range result.Overlays {
		if overlay.Error != "" {
			return warnings // What was not checked may be what a waiver is for.
		}
		checked = append(checked, overlay.Name)
	}
	for _, unused := range c.Waivers.Unused(checked, c.All) {
		warnings = append(warnings, fmt.Sprintf("the waiver of %s on %s covers nothing; remove it", unused.Policy, unused.Object))
	}
	return warnings
}
