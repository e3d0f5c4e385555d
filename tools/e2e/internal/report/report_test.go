package report_test

import (
	"bytes"
	"encoding/xml"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ft-services/ft-services/tools/e2e/internal/report"
)

func example() *report.Report {
	r := &report.Report{}
	r.Add(report.Result{Numbers: []string{"B2", "G10"}, What: "no node port", Outcome: report.Passed, Took: 1500 * time.Millisecond})
	r.Add(report.Result{Numbers: []string{"R8"}, What: "a <transfer>", Outcome: report.Failed, Took: time.Second})
	r.Add(report.Result{Numbers: []string{"G8"}, What: "dashboards", Outcome: report.Skipped, Why: "grafana image not built"})
	r.Measure("Recovery", "nginx TERM", "2.1 s")
	r.Measure("Memory", "mysql", "80 MiB")
	r.Measure("Recovery", "nginx KILL", "3.0 s")
	return r
}

func TestText(t *testing.T) {
	var out bytes.Buffer
	require.NoError(t, example().Text(&out))
	assert.Equal(t, `NUMBER  WHAT          RESULT                            SECONDS
B2 G10  no node port  passed                            1.5
R8      a <transfer>  failed                            1.0
G8      dashboards    skipped: grafana image not built  0.0

1 passed, 1 failed, 1 skipped in 2 s

Recovery
  nginx TERM  2.1 s
  nginx KILL  3.0 s

Memory
  mysql  80 MiB
`, out.String())
}

func TestJUnit(t *testing.T) {
	var out bytes.Buffer
	require.NoError(t, example().JUnit(&out))
	var read struct {
		Tests      int `xml:"tests,attr"`
		Failures   int `xml:"failures,attr"`
		Skipped    int `xml:"skipped,attr"`
		Properties []struct {
			Name string `xml:"name,attr"`
		} `xml:"properties>property"`
		Cases []struct {
			Class   string    `xml:"classname,attr"`
			Name    string    `xml:"name,attr"`
			Failure *struct{} `xml:"failure"`
			Skipped *struct {
				Message string `xml:"message,attr"`
			} `xml:"skipped"`
		} `xml:"testcase"`
	}
	require.NoError(t, xml.Unmarshal(out.Bytes(), &read))
	assert.Equal(t, []int{3, 1, 1}, []int{read.Tests, read.Failures, read.Skipped})
	require.Len(t, read.Cases, 3)
	assert.Equal(t, "a <transfer>", read.Cases[1].Name)
	assert.NotNil(t, read.Cases[1].Failure)
	assert.Equal(t, "grafana image not built", read.Cases[2].Skipped.Message)
	assert.Len(t, read.Properties, 3)
}
