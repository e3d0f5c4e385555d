package report_test

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ft-services/ft-services/tools/validate/internal/report"
)

func TestFieldPath(t *testing.T) {
	tests := map[string][]any{
		"":                         nil,
		"kind":                     {"kind"},
		"spec.ports[0].nodePort":   {"spec", "ports", 0, "nodePort"},
		`metadata.labels["a.b/c"]`: {"metadata", "labels", "a.b/c"},
		"spec[1][2]":               {"spec", 1, 2},
		`data[""]["a\"b"]`:         {"data", "", `a"b`},
	}
	for want, path := range tests {
		assert.Equal(t, want, report.FieldPath(path))
	}
}

func TestTextIsPlainUnlessItMayBeColoured(t *testing.T) {
	result := &report.Report{Policies: 1, Overlays: []report.Overlay{
		{Name: "a", Objects: 2, Findings: []report.Finding{
			{Policy: "x/y", Severity: "warning", Object: "Pod/z", Field: "spec", Value: map[string]any{"k": 1}, Message: "m", Source: "f.yaml", Remediation: "Do it."},
		}},
		{Name: "b", Error: "one\ntwo"},
	}}
	var plain, coloured bytes.Buffer
	require.NoError(t, report.Text(&plain, result, false))
	require.NoError(t, report.Text(&coloured, result, true))
	assert.Equal(t, `a
  Pod/z  f.yaml
    warning x/y  spec = {"k":1}
      m
      mend: Do it.

b
  failed one
  failed two

0 violations, 1 warning, 1 overlay not checked: 2 overlays, 2 objects, 1 policy
`, plain.String())
	assert.NotContains(t, plain.String(), "\x1b")
	assert.Contains(t, coloured.String(), "\x1b[33mwarning\x1b[0m")
}

func TestTextOfFindingsBesideAnError(t *testing.T) {
	result := &report.Report{Policies: 1, Overlays: []report.Overlay{{Name: "a", Objects: 2, Error: "x.rego:4: stumbled", Findings: []report.Finding{
		{Policy: "x/y", Severity: "error", Object: "Pod/z", Message: "m"},
		{Policy: "x/y", Severity: "error", Object: "Pod/z", Value: "<a> && b", Message: "m"},
	}}}}
	var text bytes.Buffer
	require.NoError(t, report.Text(&text, result, false))
	assert.Equal(t, `a
  failed x.rego:4: stumbled
  Pod/z  source unknown
    error x/y
      m
    error x/y  = "<a> && b"
      m

2 violations, 1 overlay not checked: 1 overlay, 2 objects, 1 policy
`, text.String())
}
