package report

import (
	"fmt"
	"io"
	"strings"

	"github.com/ft-services/ft-services/tools/validate/internal/policy"
)

// GitHub writes the report as workflow commands, which GitHub Actions shows as annotations of the
// files. It shows ten of each level a step and leaves out the rest.
// Source: https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands
func GitHub(w io.Writer, report *Report, _ bool) error {
	var text strings.Builder
	for _, overlay := range report.Overlays {
		if overlay.Error != "" {
			annotate(&text, "error", overlay.Name+" could not be checked", overlay.Error)
		}
	}
	for _, finding := range report.Findings {
		level, title, lines := "error", finding.Policy, []string{finding.Message}
		if finding.Severity == policy.SeverityWarning {
			level = "warning"
		}
		switch {
		case finding.Waived != nil:
			level, title = "notice", finding.Policy+" (waived)"
			lines = append(lines, fmt.Sprintf("Waived until %s by %s: %s", finding.Waived.Expires, finding.Waived.Owner, finding.Waived.Reason))
		case finding.Remediation != "":
			lines = append(lines, finding.Remediation)
		}
		if len(finding.Overlays) > 0 {
			lines = append(lines, "In "+strings.Join(finding.Overlays, ", "))
		}
		var where []string
		if finding.File != "" {
			where = append(where, "file="+property.Replace(report.fromRoot(finding.File)))
		}
		if finding.Line > 0 {
			where = append(where, fmt.Sprintf("line=%d", finding.Line))
		}
		if finding.Line > 0 && finding.Column > 0 {
			where = append(where, fmt.Sprintf("col=%d", finding.Column))
		}
		annotate(&text, level, title, strings.Join(lines, "\n"), where...)
	}
	if _, err := io.WriteString(w, text.String()); err != nil {
		return fmt.Errorf("writing the report as workflow commands: %w", err)
	}
	return nil
}

var (
	message  = strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A")
	property = strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A", ":", "%3A", ",", "%2C")
)

func annotate(text *strings.Builder, level, title, content string, properties ...string) {
	properties = append(properties, "title="+property.Replace(title))
	fmt.Fprintf(text, "::%s %s::%s\n", level, strings.Join(properties, ","), message.Replace(content))
}
