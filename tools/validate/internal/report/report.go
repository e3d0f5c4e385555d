// Package report holds what a run found and writes it. The Report knows no format; each format is a
// file of its own and an entry in Formats.
package report

import (
	"fmt"
	"io"
	"strings"

	"github.com/ft-services/ft-services/tools/validate/internal/policy"
)

// Report is the outcome of one run.
type Report struct {
	Overlays []Overlay `json:"overlays"`
	Policies int       `json:"policies"` // how many policies were evaluated
	Warnings []string  `json:"warnings,omitempty"`
}

// Overlay is the outcome for one overlay.
type Overlay struct {
	Name     string    `json:"name"` // its directory, as it was named or found
	Objects  int       `json:"objects"`
	Findings []Finding `json:"findings"`
	// Error says why the overlay could not be rendered or evaluated, or not wholly: then the findings
	// are some of those that there are.
	Error string `json:"error,omitempty"`
}

// Finding is one broken promise.
type Finding struct {
	Policy      string `json:"policy"`
	Severity    string `json:"severity"`
	Object      string `json:"object"` // Kind/namespace/name
	Field       string `json:"field"`  // for example spec.ports[0].nodePort
	Value       any    `json:"value,omitempty"`
	Message     string `json:"message"`
	Source      string `json:"source"` // the file that the object comes from; empty when it is not known
	Remediation string `json:"remediation"`
	Waived      string `json:"waived,omitempty"` // the reason, when a waiver excuses the finding
}

// Counts is how many findings of each kind there are.
type Counts struct {
	Errors   int `json:"errors"`
	Warnings int `json:"warnings"`
	Waived   int `json:"waived"`
	Failed   int `json:"failed"` // overlays that could not be checked
}

// Count adds up the findings of all overlays.
func (r *Report) Count() Counts {
	var counts Counts
	for _, overlay := range r.Overlays {
		if overlay.Error != "" {
			counts.Failed++
		}
		for _, finding := range overlay.Findings {
			switch {
			case finding.Waived != "":
				counts.Waived++
			case finding.Severity == policy.SeverityWarning:
				counts.Warnings++
			default:
				counts.Errors++
			}
		}
	}
	return counts
}

// Format writes a report. color is whether the writer shows ANSI colours.
type Format func(w io.Writer, report *Report, color bool) error

// Formats is every format by the name that the command line knows it by.
func Formats() map[string]Format {
	return map[string]Format{"text": Text, "json": JSON}
}

// FieldPath writes keys and indexes as a.b[0].c, with keys that hold other characters in brackets.
func FieldPath(path []any) string {
	var text strings.Builder
	for _, step := range path {
		switch step := step.(type) {
		case int:
			fmt.Fprintf(&text, "[%d]", step)
		case string:
			if step == "" || strings.ContainsAny(step, "./[] \"") {
				fmt.Fprintf(&text, "[%q]", step)
				continue
			}
			if text.Len() > 0 {
				text.WriteByte('.')
			}
			text.WriteString(step)
		}
	}
	return text.String()
}
