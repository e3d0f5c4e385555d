package report

import (
	"encoding/json"
	"fmt"
	"io"
)

// JSON writes the report as one JSON object, with a summary.
func JSON(w io.Writer, report *Report, _ bool) error {
	// A list is a list, even when it is empty.
	overlays, findings := report.Overlays, report.Findings
	if overlays == nil {
		overlays = []Overlay{}
	}
	if findings == nil {
		findings = []Finding{}
	}
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(struct {
		*Report
		Overlays []Overlay `json:"overlays"`
		Findings []Finding `json:"findings"`
		Policies int       `json:"policies"` // how many were evaluated
		Summary  Counts    `json:"summary"`
	}{report, overlays, findings, len(report.Policies), report.Count()})
	if err != nil {
		return fmt.Errorf("writing the report as JSON: %w", err)
	}
	return nil
}
