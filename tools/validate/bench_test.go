package main_test

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ft-services/ft-services/tools/validate/internal/check"
	"github.com/ft-services/ft-services/tools/validate/internal/cli"
	"github.com/ft-services/ft-services/tools/validate/internal/manifest"
	"github.com/ft-services/ft-services/tools/validate/internal/overlay"
	"github.com/ft-services/ft-services/tools/validate/internal/policy"
	"github.com/ft-services/ft-services/tools/validate/internal/report"
	"github.com/ft-services/ft-services/tools/validate/internal/schema"
	"github.com/ft-services/ft-services/tools/validate/internal/synthetic"
	"github.com/ft-services/ft-services/tools/validate/internal/waiver"
)

// benchmarkSize is one overlay with enough objects to show what grows faster than their number.
var benchmarkSize = synthetic.Size{Services: 100, Overlays: 1}

// syntheticTree is a tree of benchmarkSize that the benchmark stands in, and its overlay.
func syntheticTree(b *testing.B, size synthetic.Size) (dir string) {
	dir = b.TempDir()
	require.NoError(b, synthetic.Write(dir, size))
	require.NoError(b, synthetic.AddPolicies(dir, "../../policies"))
	b.Chdir(dir)
	return filepath.Join(synthetic.OverlaysDir, synthetic.OverlayName(0))
}

// perObject returns what reports the CPU time since, by iteration and object: it is the process's own,
// so that a busy machine does not change it much.
func perObject(b *testing.B, objects int) (report func()) {
	before := cpuTime(b)
	return func() {
		spent := cpuTime(b) - before
		b.ReportMetric(float64(spent.Microseconds())/float64(b.N*objects), "cpu-µs/object")
	}
}

func cpuTime(b *testing.B) time.Duration {
	var usage syscall.Rusage
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &usage))
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// BenchmarkValidate is a whole run over the repository's overlays, as the command makes it.
func BenchmarkValidate(b *testing.B) {
	b.Chdir("../..")
	for b.Loop() {
		require.Equal(b, cli.ExitClean, cli.Run(context.Background(), nil, io.Discard, io.Discard))
	}
}

// BenchmarkLoad is what comes before the first overlay: parsing and compiling the policies.
func BenchmarkLoad(b *testing.B) {
	for b.Loop() {
		_, err := policy.Load("../../policies")
		require.NoError(b, err)
	}
}

// BenchmarkRender is the part that is Kustomize's own.
func BenchmarkRender(b *testing.B) {
	overlay.Warm()
	dir := syntheticTree(b, benchmarkSize)
	defer perObject(b, benchmarkSize.Objects())()
	for b.Loop() {
		_, err := overlay.Render(context.Background(), dir)
		require.NoError(b, err)
	}
}

// BenchmarkDecode compares every object with its type.
func BenchmarkDecode(b *testing.B) {
	dir := syntheticTree(b, benchmarkSize)
	rendered, err := overlay.Render(context.Background(), dir)
	require.NoError(b, err)
	decoder := newDecoder(b)
	defer perObject(b, benchmarkSize.Objects())()
	for b.Loop() {
		decode(b, decoder, rendered)
	}
}

// BenchmarkEvaluate runs every policy on every object: on an overlay of which nothing has been seen, and
// on one that is the same as another.
func BenchmarkEvaluate(b *testing.B) {
	dir := syntheticTree(b, benchmarkSize)
	policies, err := policy.Load("policies")
	require.NoError(b, err)
	rendered, err := overlay.Render(context.Background(), dir)
	require.NoError(b, err)
	values := decode(b, newDecoder(b), rendered)
	for _, seen := range []bool{false, true} {
		b.Run(fmt.Sprintf("seen=%t", seen), func(b *testing.B) {
			defer perObject(b, benchmarkSize.Objects())()
			for b.Loop() {
				if !seen {
					policies = policies.Select(func(string) bool { return true })
				}
				results, err := policies.Evaluate(context.Background(), values)
				require.NoError(b, err)
				require.Empty(b, results)
			}
		})
	}
}

// BenchmarkTrace is a run of one policy with one finding, most of which is spent on finding its line.
func BenchmarkTrace(b *testing.B) {
	dir := syntheticTree(b, benchmarkSize)
	require.NoError(b, synthetic.Break(".", benchmarkSize))
	policies, err := policy.Load("policies")
	require.NoError(b, err)
	kubernetes, err := check.OnlyKubernetes(schema.Minors()[0])
	require.NoError(b, err)
	checker := &check.Checker{Policies: policies, Schemas: schema.NewLibrary(), Kubernetes: kubernetes, Waivers: &waiver.List{}, Selection: check.Selection{Only: []string{"workloads/pod_security"}}}
	for b.Loop() {
		result := checker.Run(context.Background(), []string{dir})
		require.NotEmpty(b, result.Findings)
	}
}

// BenchmarkReport writes the report of a run with a finding of every object in each format.
func BenchmarkReport(b *testing.B) {
	const findings = 500
	result := &report.Report{Policies: []*policy.Policy{{Name: "a/b", Severity: policy.SeverityError}}}
	overlay := report.Overlay{Name: "overlays/a", Objects: findings}
	var found []report.Finding
	for i := range findings {
		found = append(found, report.Finding{
			Policy: "a/b", Severity: policy.SeverityError, Message: "is not as it should be", Object: fmt.Sprintf("Service/shop/s%d", i),
			Field: "spec.type", File: "base/service.yaml", Line: i + 1, Column: 1,
		})
	}
	result.Add(overlay, found)
	for name, write := range report.Formats() {
		b.Run(name, func(b *testing.B) {
			defer perObject(b, findings)()
			for b.Loop() {
				require.NoError(b, write(io.Discard, result, false))
			}
		})
	}
}

func newDecoder(b *testing.B) *manifest.Decoder {
	set, err := schema.NewLibrary().Set(schema.Minors()[0])
	require.NoError(b, err)
	return manifest.NewDecoder(set)
}

func decode(b *testing.B, decoder *manifest.Decoder, rendered *overlay.Rendered) []map[string]any {
	var values []map[string]any
	for _, resource := range rendered.Resources() {
		object, defects, err := decoder.Decode(context.Background(), &resource.RNode)
		require.NoError(b, err)
		require.Empty(b, defects)
		values = append(values, object.Value)
	}
	return values
}
