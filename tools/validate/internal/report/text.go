package report

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/ft-services/ft-services/tools/validate/internal/policy"
)

// ANSI escapes of the text format.
const (
	red    = "\x1b[31m"
	green  = "\x1b[32m"
	yellow = "\x1b[33m"
	bold   = "\x1b[1m"
	dim    = "\x1b[2m"
	reset  = "\x1b[0m"
)

// Text writes the report for people: by overlay, then by object, then one line a finding and one
// with its mend.
func Text(w io.Writer, report *Report, color bool) error {
	t := &textWriter{color: color}
	objects := 0
	for _, overlay := range report.Overlays {
		objects += overlay.Objects
		t.overlay(overlay)
	}
	for _, warning := range report.Warnings {
		t.line("%s %s", t.paint(yellow, "warning"), warning)
	}
	t.summary(report, objects)
	if _, err := t.buffer.WriteTo(w); err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	return nil
}

type textWriter struct {
	buffer bytes.Buffer
	color  bool
}

func (t *textWriter) line(format string, args ...any) {
	fmt.Fprintf(&t.buffer, format+"\n", args...)
}

func (t *textWriter) paint(style, text string) string {
	if !t.color {
		return text
	}
	return style + text + reset
}

func (t *textWriter) overlay(overlay Overlay) {
	if overlay.Error == "" && len(overlay.Findings) == 0 {
		return
	}
	t.line("%s", t.paint(bold, overlay.Name))
	for line := range strings.Lines(overlay.Error) {
		t.line("  %s %s", t.paint(red, "failed"), strings.TrimSpace(line))
	}
	object := ""
	for _, finding := range overlay.Findings {
		source := cmp.Or(finding.Source, "source unknown")
		if head := finding.Object + "  " + t.paint(dim, source); head != object {
			object = head
			t.line("  %s", head)
		}
		t.finding(finding)
	}
	t.line("")
}

func (t *textWriter) finding(finding Finding) {
	label := t.paint(red, finding.Severity)
	switch {
	case finding.Waived != "":
		label = t.paint(dim, "waived")
	case finding.Severity == policy.SeverityWarning:
		label = t.paint(yellow, finding.Severity)
	}
	place := finding.Field
	if finding.Value != nil {
		place = strings.TrimSpace(place + " = " + short(finding.Value))
	}
	if place != "" {
		place = "  " + place
	}
	t.line("    %s %s%s", label, t.paint(bold, finding.Policy), place)
	t.line("      %s", finding.Message)
	if finding.Waived != "" {
		t.line("      waived: %s", finding.Waived)
	} else if finding.Remediation != "" {
		t.line("      %s %s", t.paint(dim, "mend:"), finding.Remediation)
	}
}

func (t *textWriter) summary(report *Report, objects int) {
	counts := report.Count()
	scope := fmt.Sprintf("%s, %s, %s", plural(len(report.Overlays), "overlay"), plural(objects, "object"), plural(report.Policies, "policy"))
	if counts.Errors == 0 && counts.Failed == 0 && counts.Warnings == 0 && counts.Waived == 0 {
		t.line("%s: %s", t.paint(green, "ok"), scope)
		return
	}
	parts := []string{plural(counts.Errors, "violation")}
	if counts.Warnings > 0 {
		parts = append(parts, plural(counts.Warnings, "warning"))
	}
	if counts.Waived > 0 {
		parts = append(parts, fmt.Sprintf("%d waived", counts.Waived))
	}
	if counts.Failed > 0 {
		parts = append(parts, plural(counts.Failed, "overlay")+" not checked")
	}
	style := red
	if counts.Errors == 0 && counts.Failed == 0 {
		style = yellow
	}
	t.line("%s: %s", t.paint(style, strings.Join(parts, ", ")), scope)
}

func plural(n int, word string) string {
	switch {
	case n == 1:
	case strings.HasSuffix(word, "y") && !strings.HasSuffix(word, "ay"):
		word = strings.TrimSuffix(word, "y") + "ies"
	default:
		word += "s"
	}
	return fmt.Sprintf("%d %s", n, word)
}

// short writes a value on one line of bearable length.
func short(value any) string {
	var encoded bytes.Buffer
	encoder := json.NewEncoder(&encoded)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return fmt.Sprint(value)
	}
	text := strings.TrimSpace(encoded.String())
	const longest = 80
	if runes := []rune(text); len(runes) > longest {
		return string(runes[:longest]) + "…"
	}
	return text
}
