package report

import (
	"encoding/json"
	"fmt"
	"io"
)

// JSON writes the report as one JSON object, with a summary.
func JSON(w io.Writer, report *Report, _ bool) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(struct {
		*Report
		Summary Counts `json:"summary"`
	}{report, report.Count()})
	if err != nil {
		return fmt.Errorf("writing the report as JSON: %w", err)
	}
	return nil
}
