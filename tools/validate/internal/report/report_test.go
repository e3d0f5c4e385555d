package report_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ft-services/ft-services/tools/validate/internal/policy"
	"github.com/ft-services/ft-services/tools/validate/internal/report"
	"github.com/ft-services/ft-services/tools/validate/internal/sariftest"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func nodePort(line, column int) report.Finding {
	return report.Finding{
		Policy: "services/no_nodeport", Severity: policy.SeverityError, Object: "Service/apps/web", Field: "spec.type", Value: "NodePort",
		Message: "Service web is of type NodePort", File: "base/web/service.yaml", Line: line, Column: column, Remediation: "Use type ClusterIP.",
	}
}

func latest() report.Finding {
	return report.Finding{
		Policy: "images/pinned_tag", Severity: policy.SeverityWarning, Object: "Deployment/apps/web", Container: "web",
		Field: `spec.template.spec.containers[0].image`, Value: "web:latest", Message: "<web> & co. are of \"latest\":\n100 %", File: "base/web, old/deployment#1.yaml",
		Line: 17, Remediation: "Write a version.",
	}
}

// reports are what each format has a golden file of.
func reports() map[string]*report.Report {
	policies := []*policy.Policy{
		{Name: "images/pinned_tag", Title: "Images are pinned", Severity: policy.SeverityWarning, Remediation: "Write a version.", RelatedResources: []string{"docs/images.md"}},
		{Name: "services/no_nodeport", Title: "No node port is opened", Description: "One way in\nis enough.", Severity: policy.SeverityError, Remediation: "Use type ClusterIP.", Requirements: []string{"B2", "R6"}, RelatedResources: []string{"https://example.com/a", "https://example.com/b"}},
	}
	checks := []*policy.Policy{{Name: "waivers/unused", Title: "Every waiver excuses something", Severity: policy.SeverityWarning, Requirements: []string{}}}
	all := map[string]*report.Report{}
	add := func(name string) *report.Report {
		all[name] = &report.Report{Policies: policies, Checks: checks, FailOn: policy.SeverityError}
		return all[name]
	}

	clean := add("clean")
	clean.Add(report.Overlay{Name: "overlays/one", Objects: 3}, nil)

	waived := nodePort(7, 0)
	waived.Waived = &report.Waiver{Reason: "moves soon", Owner: "web team", Expires: "2027-01-31"}
	unknown := nodePort(0, 0)
	unknown.File, unknown.Value, unknown.Field = "", nil, ""
	mixed := add("mixed")
	mixed.Add(report.Overlay{Name: "overlays/one", Objects: 3}, []report.Finding{nodePort(7, 9), latest()})
	mixed.Add(report.Overlay{Name: "overlays/two", Objects: 3}, []report.Finding{nodePort(7, 9), unknown})
	mixed.Add(report.Overlay{Name: "overlays/three", Objects: 3}, []report.Finding{nodePort(7, 9), waived})
	mixed.Findings = append(mixed.Findings, report.Finding{
		Policy: "waivers/unused", Severity: policy.SeverityWarning, Message: "the waiver covers nothing", File: "policies/waivers.yaml", Line: 4, Remediation: "Remove it.",
	})

	failed := add("failed")
	failed.Add(report.Overlay{Name: "overlays/one", Error: "rendering overlays/one: a.yaml:3: broken, <bad>\npolicy: 50 %"}, nil)
	failed.Add(report.Overlay{Name: "overlays/two", Objects: 3, Error: "x.rego:4: stumbled"}, []report.Finding{nodePort(0, 0)})

	strict := add("fail-on-warning")
	strict.FailOn = policy.SeverityWarning
	strict.Add(report.Overlay{Name: "overlays/one", Objects: 3}, []report.Finding{latest()})
	return all
}

// TestGolden writes each report in each format. Rewrite the files with -update.
func TestGolden(t *testing.T) {
	for name, result := range reports() {
		for format, write := range report.Formats() {
			t.Run(name+"."+format, func(t *testing.T) {
				var got bytes.Buffer
				require.NoError(t, write(&got, result, false))
				file := filepath.Join("testdata", name+"."+format)
				if *update {
					require.NoError(t, os.WriteFile(file, got.Bytes(), 0o600))
				}
				want, err := os.ReadFile(file)
				require.NoError(t, err)
				assert.Equal(t, string(want), got.String())
			})
		}
	}
}

func TestSARIFIsValid(t *testing.T) {
	for name, result := range reports() {
		t.Run(name, func(t *testing.T) {
			var text bytes.Buffer
			require.NoError(t, report.SARIF(&text, result, false))
			assert.NoError(t, sariftest.Validate(text.Bytes()))
		})
	}
}

// TestSARIFNamesFilesFromTheRoot is about what code scanning can find.
func TestSARIFNamesFilesFromTheRoot(t *testing.T) {
	root := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(root, "deploy"), 0o700))
	t.Chdir(filepath.Join(root, "deploy"))
	outside := filepath.Join(t.TempDir(), "a b.yaml")
	for name, test := range map[string]struct{ file, root, uri, base, annotated string }{
		"the root is not known": {"base/a.yaml", "", "base/a.yaml", "%SRCROOT%", "base/a.yaml"},
		"below the root":        {"base/a.yaml", root, "deploy/base/a.yaml", "%SRCROOT%", "deploy/base/a.yaml"},
		"absolute":              {filepath.Join(root, "base/a.yaml"), root, "base/a.yaml", "%SRCROOT%", "base/a.yaml"},
		"outside":               {outside, root, "file://" + strings.ReplaceAll(outside, " ", "%20"), "", outside},
		"a colon":               {"a:b.yaml", "", "./a:b.yaml", "%SRCROOT%", "a%3Ab.yaml"},
	} {
		t.Run(name, func(t *testing.T) {
			finding := nodePort(0, 0)
			finding.File = test.file
			result := &report.Report{Root: test.root, Findings: []report.Finding{finding}}
			var text bytes.Buffer
			require.NoError(t, report.SARIF(&text, result, false))
			var log struct {
				Runs []struct {
					Results []struct {
						Locations []struct {
							PhysicalLocation struct {
								ArtifactLocation struct{ URI, URIBaseID string }
							}
						}
					}
				}
			}
			require.NoError(t, json.Unmarshal(text.Bytes(), &log))
			got := log.Runs[0].Results[0].Locations[0].PhysicalLocation.ArtifactLocation
			assert.Equal(t, test.uri, got.URI)
			assert.Equal(t, test.base, got.URIBaseID)
			text.Reset()
			require.NoError(t, report.GitHub(&text, result, false))
			assert.Contains(t, text.String(), "::error file="+test.annotated+",title=")
		})
	}
}

func TestJUnitIsXMLWhateverTheTextHolds(t *testing.T) {
	finding := nodePort(0, 0)
	finding.Message = "a \x00 b \x1b[31m ]]> <c>\xff"
	result := &report.Report{}
	result.Add(report.Overlay{Name: "a"}, []report.Finding{finding})
	var text bytes.Buffer
	require.NoError(t, report.JUnit(&text, result, false))
	decoder := xml.NewDecoder(&text)
	for {
		if _, err := decoder.Token(); err != nil {
			require.ErrorIs(t, err, io.EOF)
			return
		}
	}
}

func TestTextIsPlainUnlessItMayBeColoured(t *testing.T) {
	result := reports()["mixed"]
	var plain, coloured bytes.Buffer
	require.NoError(t, report.Text(&plain, result, false))
	require.NoError(t, report.Text(&coloured, result, true))
	assert.NotContains(t, plain.String(), "\x1b")
	assert.Contains(t, coloured.String(), "\x1b[33mwarning\x1b[0m")
}

// TestNoTextSteersWhoReadsIt looks for what a terminal or a CI runner would obey.
func TestNoTextSteersWhoReadsIt(t *testing.T) {
	finding := nodePort(0, 0)
	finding.Message, finding.Object, finding.Value = "x\n::set-env name=A::b\r\x1b[2J", "Pod/\x07", "\n::x\x1b"
	finding.Waived = &report.Waiver{Reason: "\n::y", Owner: "\x1b"}
	result := &report.Report{}
	other := nodePort(0, 0)
	other.Message, other.Object = "::add-mask::x", "::debug::Kind/x ##[error]y"
	result.Add(report.Overlay{Name: "a", Error: "broken\x1b[2J\n ::z"}, []report.Finding{finding, other})
	for name, format := range map[string]report.Format{"text": report.Text, "github": report.GitHub} {
		var text bytes.Buffer
		require.NoError(t, format(&text, result, false))
		for line := range strings.Lines(text.String()) {
			line = strings.TrimSpace(line)
			assert.False(t, name == "text" && strings.HasPrefix(line, "::"), line)
			assert.Regexp(t, `^(::(error|notice) .*)?`, line)
		}
		if name == "text" {
			assert.NotContains(t, text.String(), "\x1b")
			assert.NotContains(t, text.String(), "\x07")
			assert.NotContains(t, text.String(), "##[")
		}
	}
}

func TestTheSameFindingIsOne(t *testing.T) {
	moved, waived, otherValue := nodePort(8, 1), nodePort(7, 1), nodePort(7, 1)
	waived.Waived = &report.Waiver{Reason: "r"}
	otherValue.Value = map[string]any{"a": []any{1}}
	var result report.Report
	result.Add(report.Overlay{Name: "a"}, []report.Finding{nodePort(7, 1), nodePort(7, 1), otherValue})
	result.Add(report.Overlay{Name: "b"}, []report.Finding{moved, waived, otherValue, nodePort(7, 1)})
	var got [][]string
	for _, finding := range result.Findings {
		got = append(got, finding.Overlays)
	}
	assert.Equal(t, [][]string{{"a", "b"}, {"a", "b"}, {"b"}, {"b"}}, got)
	assert.Equal(t, report.Counts{Errors: 3, Waived: 1}, result.Count())
}

func TestFails(t *testing.T) {
	waived := nodePort(0, 0)
	waived.Waived = &report.Waiver{}
	for name, test := range map[string]struct {
		failOn  string
		finding report.Finding
		want    bool
	}{
		"an error":            {policy.SeverityError, nodePort(0, 0), true},
		"a warning":           {policy.SeverityError, latest(), false},
		"a warning that does": {policy.SeverityWarning, latest(), true},
		"an error too":        {policy.SeverityWarning, nodePort(0, 0), true},
		"a waived error":      {policy.SeverityWarning, waived, false},
	} {
		assert.Equal(t, test.want, (&report.Report{FailOn: test.failOn}).Fails(test.finding), name)
	}
}

func TestPosition(t *testing.T) {
	assert.Equal(t, "base/web/service.yaml", nodePort(0, 3).Position())
	assert.Equal(t, "base/web/service.yaml:7", nodePort(7, 0).Position())
	assert.Equal(t, "base/web/service.yaml:7:3", nodePort(7, 3).Position())
	assert.Empty(t, report.Finding{}.Position())
}

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, errors.New("disk full") }

func TestAFormatSaysThatItCannotBeWritten(t *testing.T) {
	for name, format := range report.Formats() {
		assert.ErrorContains(t, format(brokenWriter{}, reports()["mixed"], false), "disk full", name)
	}
}
