// Package check takes overlays through the whole run: render, decode, evaluate, trace, report.
package check

import (
	"context"
	"fmt"
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
}

// Run checks the overlays concurrently and reports them in the order given. An overlay that cannot be
// checked has its Error set and does not keep the others from being checked.
func (c *Checker) Run(ctx context.Context, dirs []string) *report.Report {
	overlay.Warm()
	outcomes := make([]report.Overlay, len(dirs))
	var group sync.WaitGroup
	for i, dir := range dirs {
		group.Go(func() {
			outcomes[i] = report.Overlay{Name: dir, Findings: []report.Finding{}}
			if err := c.checkOne(ctx, &outcomes[i]); err != nil {
				outcomes[i] = report.Overlay{Name: dir, Findings: []report.Finding{}, Error: err.Error()}
			}
		})
	}
	group.Wait()

	result := &report.Report{Overlays: outcomes, Policies: len(c.Policies.Policies())}
	c.waive(result)
	return result
}

func (c *Checker) checkOne(ctx context.Context, outcome *report.Overlay) error {
	rendered, err := overlay.Render(outcome.Name)
	if err != nil {
		return err
	}
	resources := rendered.Resources()
	if len(resources) == 0 {
		return fmt.Errorf("rendering %s: it yields no object", outcome.Name)
	}
	outcome.Objects = len(resources)

	objects := make([]*manifest.Object, len(resources))
	values := make([]map[string]any, len(resources))
	var found []located
	for i, resource := range resources {
		object, defects, err := c.Decoder.Decode(&resource.RNode)
		if err != nil {
			return fmt.Errorf("decoding %s: %w", outcome.Name, err)
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
	// A policy may stumble over a value of the wrong type, which is a finding already.
	if err != nil && (len(found) == 0 || ctx.Err() != nil) {
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
	sources, err := rendered.Sources()
	if err != nil {
		return err
	}
	slices.SortStableFunc(found, func(a, b located) int { return a.object - b.object })
	for _, item := range found {
		item.finding.Object = objects[item.object].String()
		item.finding.Source = sources[item.object]
		outcome.Findings = append(outcome.Findings, item.finding)
	}
	return nil
}

// located is a finding and the index of its object.
type located struct {
	object  int
	finding report.Finding
}

// waive runs after all overlays, in their order, so that the outcome does not depend on which of them
// was done first.
func (c *Checker) waive(result *report.Report) {
	failed := false
	for i := range result.Overlays {
		checked := &result.Overlays[i]
		failed = failed || checked.Error != ""
		for j := range checked.Findings {
			finding := &checked.Findings[j]
			if reason, excused := c.Waivers.Excuse(finding.Policy, checked.Name, finding.Object); excused {
				finding.Waived = reason
			}
		}
	}
	if failed {
		return // What was not checked may be what the waiver is for.
	}
	for _, unused := range c.Waivers.Unused() {
		result.Warnings = append(result.Warnings, fmt.Sprintf("the waiver of %s on %s covers nothing; remove it", unused.Policy, unused.Object))
	}
}
