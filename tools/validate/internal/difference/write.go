package difference

import (
	"bytes"
	"fmt"
	"html"
	"io"
	"strings"
	"unicode"

	"github.com/ft-services/ft-services/tools/validate/internal/report"
)

// Text writes the report for people.
func Text(w io.Writer, r *Report) error {
	var text strings.Builder
	for _, group := range r.groups() {
		fmt.Fprintf(&text, "%s\n\n", strings.Join(group[0].Overlays, ", "))
		for _, change := range group {
			fmt.Fprintf(&text, "%s %s\n%s\n", change.What, change.Object, change.Diff)
		}
	}
	for _, failure := range r.Failures {
		fmt.Fprintf(&text, "failed %s: %s\n", failure.Overlay, failure.Text)
	}
	fmt.Fprintln(&text, r.Summary())
	if _, err := io.WriteString(w, inert(text.String())); err != nil {
		return fmt.Errorf("writing the differences: %w", err)
	}
	return nil
}

const (
	// maxComment is how long a comment may be at GitHub, in characters; here bytes are counted, of which
	// there are no fewer.
	// Source: the answer of its API to a longer one, "maximum is 65536 characters"
	maxComment = 65536
	// maxOverlays is how many overlays a heading names.
	maxOverlays = 10
	// maxFailure is how much of a failure's text is written, in bytes.
	maxFailure = 2000
)

// Markdown writes the report as a comment that GitHub takes: what goes beyond its limit is left out,
// and counted.
func Markdown(w io.Writer, r *Report) error {
	m := &markdown{}
	m.add(fmt.Sprintf("**Rendered overlays:** %s\n", html.EscapeString(inert(r.Summary()))))
	failuresLeft := 0
	for _, failure := range r.Failures {
		if !m.add(fmt.Sprintf("\n**failed** %s\n\n%s", code(failure.Overlay), fenced("", cut(inert(failure.Text), maxFailure)))) {
			failuresLeft++
		}
	}
	diffsLeft, left := 0, 0
	for _, group := range r.groups() {
		heading := "\n" + overlays(group[0].Overlays) + "\n"
		for _, change := range group {
			title := change.What + " " + code(change.Object)
			whole := fmt.Sprintf("%s\n<details><summary>%s</summary>\n\n%s\n</details>\n", heading, title, fenced("diff", inert(change.Diff)))
			switch {
			case m.add(whole):
				heading = ""
			case m.add(fmt.Sprintf("%s\n%s (%s, left out)\n", heading, title, plural(strings.Count(change.Diff, "\n"), "line"))):
				heading = ""
				diffsLeft++
			default:
				left++
			}
		}
	}
	if diffsLeft+left+failuresLeft > 0 {
		m.note(fmt.Sprintf("\nLeft out, since a comment holds %d characters: the diff of %s, %s wholly, %s. `validate diff` prints all.\n",
			maxComment, plural(diffsLeft, "object"), plural(left, "object"), plural(failuresLeft, "failure")))
	}
	if _, err := m.text.WriteTo(w); err != nil {
		return fmt.Errorf("writing the differences: %w", err)
	}
	return nil
}

type markdown struct{ text bytes.Buffer }

// reserve is for the note at the end, and for a line that whoever posts the comment may add.
const reserve = 1000

func (m *markdown) add(block string) bool {
	if m.text.Len()+len(block) > maxComment-reserve {
		return false
	}
	m.note(block)
	return true
}

func (m *markdown) note(block string) { m.text.WriteString(block) }

func overlays(names []string) string {
	var shown []string
	for _, name := range names[:min(len(names), maxOverlays)] {
		shown = append(shown, code(name))
	}
	text := "#### " + strings.Join(shown, ", ")
	if more := len(names) - maxOverlays; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// code is HTML, in which nothing but < and & has a meaning.
func code(text string) string {
	return "<code>" + html.EscapeString(inert(strings.ReplaceAll(text, "\n", " "))) + "</code>"
}

// fenced is a block of code whose fence is longer than any in the text.
func fenced(language, text string) string {
	longest, run := 2, 0
	for _, r := range text {
		if r != '`' {
			run = 0
			continue
		}
		run++
		longest = max(longest, run)
	}
	fence := strings.Repeat("`", longest+1)
	return fence + language + "\n" + strings.TrimSuffix(text, "\n") + "\n" + fence + "\n"
}

func cut(text string, most int) string {
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "…"
}

// inert keeps what the objects hold from steering a terminal or a CI runner.
func inert(text string) string {
	var safe strings.Builder
	for line := range strings.Lines(text) {
		body, end := strings.CutSuffix(line, "\n")
		for _, r := range report.Inert(body) {
			if r == '\t' || unicode.IsPrint(r) {
				safe.WriteRune(r)
			} else {
				fmt.Fprintf(&safe, `\u%04x`, r)
			}
		}
		if end {
			safe.WriteByte('\n')
		}
	}
	return safe.String()
}
