package report

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"io"
	"slices"
	"strings"
)

type junitSuites struct {
	XMLName xml.Name `xml:"testsuites"`
	Name    string   `xml:"name,attr"`
	junitCounts
	Suites []*junitSuite `xml:"testsuite"`
}

type junitSuite struct {
	Name string `xml:"name,attr"`
	junitCounts
	Cases []junitCase `xml:"testcase"`
}

type junitCounts struct {
	Tests    int `xml:"tests,attr"`
	Failures int `xml:"failures,attr"`
	Errors   int `xml:"errors,attr"`
	Skipped  int `xml:"skipped,attr"`
}

type junitCase struct {
	Class   string        `xml:"classname,attr"`
	Name    string        `xml:"name,attr"`
	Skipped *junitOutcome `xml:"skipped"`
	Error   *junitOutcome `xml:"error"`
	Failure *junitOutcome `xml:"failure"`
	Output  string        `xml:"system-out,omitempty"`
}

type junitOutcome struct {
	Message string `xml:"message,attr"`
	Type    string `xml:"type,attr,omitempty"`
	Text    string `xml:",chardata"`
}

// JUnit writes the report as a suite of tests an overlay: one for each finding, and one for each
// policy without any. A waived finding is a skipped test, a warning that does not fail the run one
// that passes with output, and an overlay that could not be checked one with an error.
func JUnit(w io.Writer, report *Report, _ bool) error {
	all := junitSuites{Name: "validate"}
	for _, overlay := range report.Overlays {
		suite := &junitSuite{Name: overlay.Name}
		broken := map[string]bool{}
		for _, finding := range report.Findings {
			if slices.Contains(finding.Overlays, overlay.Name) {
				broken[finding.Policy] = true
				suite.add(report, finding)
			}
		}
		if overlay.Error != "" {
			suite.Cases = append(suite.Cases, junitCase{
				Class: overlay.Name, Name: "can be checked",
				Error: &junitOutcome{Message: firstLine(overlay.Error), Text: overlay.Error},
			})
		} else {
			for _, each := range report.Rules() {
				if !broken[each.Name] && !strings.HasPrefix(each.Name, "waivers/") {
					suite.Cases = append(suite.Cases, junitCase{Class: overlay.Name, Name: each.Name + " " + each.Title})
				}
			}
		}
		all.Suites = append(all.Suites, suite)
	}
	others := &junitSuite{Name: "waivers"}
	for _, finding := range report.Findings {
		if len(finding.Overlays) == 0 {
			others.add(report, finding)
		}
	}
	if len(others.Cases) > 0 {
		all.Suites = append(all.Suites, others)
	}
	for _, suite := range all.Suites {
		suite.count()
		all.Tests += suite.Tests
		all.Failures += suite.Failures
		all.Errors += suite.Errors
		all.Skipped += suite.Skipped
	}
	var text bytes.Buffer
	text.WriteString(xml.Header)
	encoder := xml.NewEncoder(&text)
	encoder.Indent("", "  ")
	if err := encoder.Encode(all); err != nil {
		return fmt.Errorf("writing the report as JUnit XML: %w", err)
	}
	text.WriteByte('\n')
	if _, err := text.WriteTo(w); err != nil {
		return fmt.Errorf("writing the report as JUnit XML: %w", err)
	}
	return nil
}

func (s *junitSuite) add(report *Report, finding Finding) {
	name := []string{finding.Policy}
	for _, part := range []string{finding.Object, finding.Field} {
		if part != "" {
			name = append(name, part)
		}
	}
	if finding.Object == "" {
		name = append(name, finding.Position())
	}
	lines := []string{finding.Message}
	if finding.Remediation != "" {
		lines = append(lines, finding.Remediation)
	}
	if position := finding.Position(); position != "" {
		lines = append(lines, position)
	}
	outcome := &junitOutcome{Message: finding.Message, Type: finding.Policy, Text: strings.Join(lines, "\n")}
	test := junitCase{Class: s.Name, Name: strings.Join(name, " ")}
	switch {
	case finding.Waived != nil:
		test.Skipped = &junitOutcome{Message: fmt.Sprintf("waived until %s by %s: %s", finding.Waived.Expires, finding.Waived.Owner, finding.Waived.Reason)}
		test.Output = outcome.Text
	case report.Fails(finding):
		test.Failure = outcome
	default:
		test.Output = "warning: " + outcome.Text
	}
	s.Cases = append(s.Cases, test)
}

func (s *junitSuite) count() {
	for _, test := range s.Cases {
		s.Tests++
		switch {
		case test.Error != nil:
			s.Errors++
		case test.Failure != nil:
			s.Failures++
		case test.Skipped != nil:
			s.Skipped++
		}
	}
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return line
}
