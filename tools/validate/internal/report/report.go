// Package report holds what a run found and writes it. The Report knows no format; each format is a
// file of its own and an entry in Formats.
package report

import (
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"slices"

	"github.com/ft-services/ft-services/tools/validate/internal/policy"
)

// Report is the outcome of one run.
type Report struct {
	Overlays []Overlay `json:"overlays"`
	Findings []Finding `json:"findings"`

	// Policies are those that were evaluated, and Checks those of the validator's own, ordered by name.
	Policies []*policy.Policy `json:"-"`
	Checks   []*policy.Policy `json:"-"`
	// FailOn is the least severity that fails the run.
	FailOn string `json:"-"`
	// Root is the absolute path of the repository's root, empty when it is not known. The formats that
	// are read elsewhere name files from there.
	Root string `json:"-"`

	index map[identity]int // of Findings
}

// Overlay is the outcome for one overlay.
type Overlay struct {
	Name    string `json:"name"` // its directory, as it was named or found
	Objects int    `json:"objects"`
	// Error says why the overlay could not be rendered or evaluated, or not wholly: then the findings
	// are some of those that there are.
	Error string `json:"error,omitempty"`
}

// Finding is one broken promise, in every overlay that breaks it in the same way.
type Finding struct {
	Policy    string `json:"policy"`
	Severity  string `json:"severity"`
	Object    string `json:"object"`              // Kind/namespace/name; empty when it is about a file
	Container string `json:"container,omitempty"` // its name, when the field is one of a container
	Field     string `json:"field"`               // for example spec.ports[0].nodePort
	Value     any    `json:"value,omitempty"`
	Message   string `json:"message"`
	// File is where the field was written, or what removed it; empty when it is not known. Line and
	// Column are counted from 1, and 0 when they are not known.
	File        string   `json:"file"`
	Line        int      `json:"line,omitempty"`
	Column      int      `json:"column,omitempty"`
	Overlays    []string `json:"overlays"` // empty when it is about none
	Remediation string   `json:"remediation"`
	Waived      *Waiver  `json:"waived,omitempty"` // what excuses the finding
}

// Waiver is why a finding does not count, who answers for that, and the last day.
type Waiver struct {
	Reason  string `json:"reason"`
	Owner   string `json:"owner"`
	Expires string `json:"expires"`
}

// Position is file:line:column, as far as it is known.
func (f Finding) Position() string {
	switch {
	case f.Line == 0:
		return f.File
	case f.Column == 0:
		return fmt.Sprintf("%s:%d", f.File, f.Line)
	}
	return fmt.Sprintf("%s:%d:%d", f.File, f.Line, f.Column)
}

// identity is what two findings have in common that are one.
type identity struct {
	policy, severity, object, container, field, value, message, file, remediation string
	line, column                                                                  int
	waiver                                                                        Waiver
}

func (f Finding) identity() identity {
	id := identity{
		f.Policy, f.Severity, f.Object, f.Container, f.Field, fmt.Sprint(f.Value), f.Message, f.File, f.Remediation,
		f.Line, f.Column, Waiver{},
	}
	if text, err := json.Marshal(f.Value); err == nil {
		id.value = string(text)
	}
	if f.Waived != nil {
		id.waiver = *f.Waived
	}
	return id
}

// Add appends the outcome of an overlay. A finding that others have too is kept once, with all of
// their names.
func (r *Report) Add(overlay Overlay, findings []Finding) {
	r.Overlays = append(r.Overlays, overlay)
	for _, finding := range findings {
		id := finding.identity()
		if i, known := r.index[id]; known {
			if same := &r.Findings[i]; !slices.Contains(same.Overlays, overlay.Name) {
				same.Overlays = append(same.Overlays, overlay.Name)
			}
			continue
		}
		if r.index == nil {
			r.index = map[identity]int{}
		}
		r.index[id] = len(r.Findings)
		finding.Overlays = []string{overlay.Name}
		r.Findings = append(r.Findings, finding)
	}
}

// Counts is how many findings of each kind there are.
type Counts struct {
	Errors   int `json:"errors"`
	Warnings int `json:"warnings"`
	Waived   int `json:"waived"`
	Failed   int `json:"failed"` // overlays that could not be checked
}

// Count adds up.
func (r *Report) Count() Counts {
	var counts Counts
	for _, overlay := range r.Overlays {
		if overlay.Error != "" {
			counts.Failed++
		}
	}
	for _, finding := range r.Findings {
		switch {
		case finding.Waived != nil:
			counts.Waived++
		case finding.Severity == policy.SeverityWarning:
			counts.Warnings++
		default:
			counts.Errors++
		}
	}
	return counts
}

// Fails tells whether a finding fails the run.
func (r *Report) Fails(finding Finding) bool {
	return finding.Waived == nil && (finding.Severity != policy.SeverityWarning || r.FailOn == policy.SeverityWarning)
}

// Rules are the policies and the checks of the validator's own, ordered by name.
func (r *Report) Rules() []*policy.Policy {
	return policy.Sorted(slices.Concat(r.Policies, r.Checks))
}

// fromRoot is where a file lies in the repository, with slashes; one outside it stays absolute.
func (r *Report) fromRoot(file string) string {
	absolute, err := filepath.Abs(file)
	if err != nil {
		return filepath.ToSlash(file)
	}
	if short, err := filepath.Rel(r.Root, absolute); r.Root != "" && err == nil && filepath.IsLocal(short) {
		return filepath.ToSlash(short)
	}
	return filepath.ToSlash(file)
}

// Format writes a report. color is whether the writer shows ANSI colours.
type Format func(w io.Writer, report *Report, color bool) error

// Formats is every format by the name that the command line knows it by.
func Formats() map[string]Format {
	return map[string]Format{"text": Text, "json": JSON, "sarif": SARIF, "junit": JUnit, "github": GitHub}
}
