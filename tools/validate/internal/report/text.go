package report

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"

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

// Text writes the report for people: by the overlays that have the same findings, then by object, then
// one line a finding and one with its mend.
func Text(w io.Writer, report *Report, color bool) error {
	t := &textWriter{color: color}
	objects := 0
	for _, overlay := range report.Overlays {
		objects += overlay.Objects
		t.overlay(overlay, report.Findings)
	}
	for _, finding := range report.Findings {
		if len(finding.Overlays) == 0 {
			t.line("%s", t.paint(dim, finding.Position()))
			t.finding(finding, "  ")
			t.line("")
		}
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
	t.buffer.WriteString(Inert(fmt.Sprintf(format, args...)) + "\n")
}

// Inert is a line that no CI runner takes for a command: it obeys one that begins like this, or holds
// that, whoever has written it.
func Inert(line string) string {
	if rest := strings.TrimLeft(line, " "); strings.HasPrefix(rest, "::") {
		line = line[:len(line)-len(rest)] + `\` + rest
	}
	return strings.ReplaceAll(line, "##[", "## [")
}

func (t *textWriter) paint(style, text string) string {
	if !t.color {
		return text
	}
	return style + text + reset
}

// overlay writes what only this overlay has, then what it is the first of several to have.
func (t *textWriter) overlay(overlay Overlay, findings []Finding) {
	own := []string{overlay.Name}
	var groups [][]string
	if overlay.Error != "" {
		groups = append(groups, own)
	}
	for _, finding := range findings {
		if len(finding.Overlays) > 0 && finding.Overlays[0] == overlay.Name &&
			!slices.ContainsFunc(groups, func(group []string) bool { return slices.Equal(group, finding.Overlays) }) {
			groups = append(groups, finding.Overlays)
		}
	}
	slices.SortStableFunc(groups, func(a, b []string) int { return cmp.Compare(min(len(a), 2), min(len(b), 2)) })
	for _, group := range groups {
		t.line("%s", t.paint(bold, strings.Join(group, ", ")))
		if len(group) == 1 {
			for line := range strings.Lines(overlay.Error) {
				t.line("  %s %s", t.paint(red, "failed"), printable(strings.TrimSpace(line)))
			}
		}
		t.group(group, findings)
		t.line("")
	}
}

// group writes the findings of a group of overlays.
func (t *textWriter) group(overlays []string, findings []Finding) {
	last := ""
	for _, finding := range findings {
		if !slices.Equal(finding.Overlays, overlays) {
			continue
		}
		head := printable(finding.Object) + "  " + t.paint(dim, cmp.Or(finding.Position(), "source unknown"))
		if head != last {
			last = head
			t.line("  %s", head)
		}
		t.finding(finding, "    ")
	}
}

func (t *textWriter) finding(finding Finding, indent string) {
	label := t.paint(red, finding.Severity)
	switch {
	case finding.Waived != nil:
		label = t.paint(dim, "waived")
	case finding.Severity == policy.SeverityWarning:
		label = t.paint(yellow, finding.Severity)
	}
	place := printable(finding.Field)
	if finding.Value != nil {
		place = strings.TrimSpace(place + " = " + printable(short(finding.Value)))
	}
	if place != "" {
		place = "  " + place
	}
	t.line("%s%s %s%s", indent, label, t.paint(bold, finding.Policy), place)
	t.line("%s  %s", indent, printable(finding.Message))
	if waiver := finding.Waived; waiver != nil {
		t.line("%s  waived until %s by %s: %s", indent, waiver.Expires, printable(waiver.Owner), printable(waiver.Reason))
	} else if finding.Remediation != "" {
		t.line("%s  %s %s", indent, t.paint(dim, "mend:"), finding.Remediation)
	}
}

func (t *textWriter) summary(report *Report, objects int) {
	counts := report.Count()
	scope := fmt.Sprintf("%s, %s, %s", plural(len(report.Overlays), "overlay"), plural(objects, "object"), plural(len(report.Policies), "policy"))
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

// printable keeps a text on its line, and what it holds from steering a terminal or a CI runner.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case unicode.IsPrint(r):
			return r
		}
		return unicode.ReplacementChar
	}, text)
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
