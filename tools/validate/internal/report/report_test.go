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
