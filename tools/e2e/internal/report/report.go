// Package report collects what an acceptance run has seen and writes it for people and for machines.
package report

import (
	"encoding/xml"
	"fmt"
	"io"
	"slices"
	"sync"
	"text/tabwriter"
	"time"
)

// Outcome is how a check ended.
type Outcome string

// Outcomes of a check.
const (
	Passed  Outcome = "passed"
	Failed  Outcome = "failed"
	Skipped Outcome = "skipped"
)

// Result is what became of one check.
type Result struct {
	// Numbers are the requirements that the check proves, What says what it sees.
	Numbers []string
	What    string
	Outcome Outcome
	// Why says for what reason a check was skipped.
	Why  string
	Took time.Duration
}

// Measurement is a number that a run yields beside its results.
type Measurement struct {
	Table, Name, Value string
}

// Report is what a run has seen so far. It may be used from several goroutines.
type Report struct {
	mu           sync.Mutex
	results      []Result
	measurements []Measurement
}

// Add adds a result.
func (r *Report) Add(result Result) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.results = append(r.results, result)
}

// Measure adds a number to a table of the report.
func (r *Report) Measure(table, name, value string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.measurements = append(r.measurements, Measurement{table, name, value})
}

// Results returns the results so far.
func (r *Report) Results() []Result {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.results)
}

// Text writes the report for people.
func (r *Report) Text(out io.Writer) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "NUMBER\tWHAT\tRESULT\tSECONDS")
	counts := map[Outcome]int{}
	var total time.Duration
	for _, result := range r.results {
		outcome := string(result.Outcome)
		if result.Why != "" {
			outcome += ": " + result.Why
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%.1f\n", join(result.Numbers), result.What, outcome, result.Took.Seconds())
		counts[result.Outcome]++
		total += result.Took
	}
	if err := table.Flush(); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	fmt.Fprintf(out, "\n%d passed, %d failed, %d skipped in %.0f s\n", counts[Passed], counts[Failed], counts[Skipped], total.Seconds())
	for _, name := range r.tables() {
		fmt.Fprintf(out, "\n%s\n", name)
		for _, m := range r.measurements {
			if m.Table == name {
				fmt.Fprintf(table, "  %s\t%s\n", m.Name, m.Value)
			}
		}
		if err := table.Flush(); err != nil {
			return fmt.Errorf("write the report: %w", err)
		}
	}
	return nil
}

func (r *Report) tables() []string {
	var names []string
	for _, m := range r.measurements {
		if !slices.Contains(names, m.Table) {
			names = append(names, m.Table)
		}
	}
	return names
}

func join(numbers []string) string {
	text := ""
	for i, number := range numbers {
		if i > 0 {
			text += " "
		}
		text += number
	}
	return text
}

type suite struct {
	XMLName    xml.Name   `xml:"testsuite"`
	Name       string     `xml:"name,attr"`
	Tests      int        `xml:"tests,attr"`
	Failures   int        `xml:"failures,attr"`
	Skipped    int        `xml:"skipped,attr"`
	Time       string     `xml:"time,attr"`
	Properties []property `xml:"properties>property,omitempty"`
	Cases      []testcase `xml:"testcase"`
}

type property struct {
	Name  string `xml:"name,attr"`
	Value string `xml:"value,attr"`
}

type testcase struct {
	Class   string   `xml:"classname,attr"`
	Name    string   `xml:"name,attr"`
	Time    string   `xml:"time,attr"`
	Failure *message `xml:"failure"`
	Skipped *message `xml:"skipped"`
}

type message struct {
	Text string `xml:"message,attr"`
}

// JUnit writes the report in the XML form that CI systems read; the measurements are properties of the suite.
func (r *Report) JUnit(out io.Writer) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	written := suite{Name: "acceptance", Tests: len(r.results)}
	var total time.Duration
	for _, result := range r.results {
		one := testcase{Class: join(result.Numbers), Name: result.What, Time: seconds(result.Took)}
		switch result.Outcome {
		case Failed:
			written.Failures++
			one.Failure = &message{"see the test's output"}
		case Skipped:
			written.Skipped++
			one.Skipped = &message{result.Why}
		}
		written.Cases = append(written.Cases, one)
		total += result.Took
	}
	written.Time = seconds(total)
	for _, m := range r.measurements {
		written.Properties = append(written.Properties, property{m.Table + ": " + m.Name, m.Value})
	}
	if _, err := io.WriteString(out, xml.Header); err != nil {
		return fmt.Errorf("write the JUnit report: %w", err)
	}
	encoder := xml.NewEncoder(out)
	encoder.Indent("", "  ")
	if err := encoder.Encode(written); err != nil {
		return fmt.Errorf("write the JUnit report: %w", err)
	}
	_, err := io.WriteString(out, "\n")
	return err
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.3f", d.Seconds()) }
