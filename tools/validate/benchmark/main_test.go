package main

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ft-services/ft-services/tools/validate/internal/cli"
	"github.com/ft-services/ft-services/tools/validate/internal/synthetic"
)

// TestTrees shows that what is measured is a clean run, and a run with one finding.
func TestTrees(t *testing.T) {
	policies, err := filepath.Abs("../../../policies")
	require.NoError(t, err)
	for name, distinct := range map[string]bool{"alike": false, "distinct": true} {
		t.Run(name, func(t *testing.T) {
			size := synthetic.Size{Services: 11, Overlays: 2, Distinct: distinct}
			dir := t.TempDir()
			require.NoError(t, synthetic.Write(dir, size))
			require.NoError(t, synthetic.AddPolicies(dir, policies))
			t.Chdir(dir)
			report := filepath.Join(dir, "report.json")
			require.Equal(t, cli.ExitClean, cli.Run(context.Background(), []string{"--output=json=" + report}, io.Discard, os.Stderr))
			text, err := os.ReadFile(report)
			require.NoError(t, err)
			assert.Contains(t, string(text), `"objects": 59`, "%d are promised for two overlays", size.Objects())
			require.Equal(t, 2*59, size.Objects())
			require.NoError(t, synthetic.Break(dir, size))
			require.Equal(t, cli.ExitViolations, cli.Run(context.Background(), nil, io.Discard, os.Stderr))
		})
	}
}

func TestRatioIsOfTheSameRound(t *testing.T) {
	result := Result{Usages: map[string][]Usage{
		ours:    {{Wall: 1}, {Wall: 20}, {Wall: 3}},
		"other": {{Wall: 2}, {Wall: 40}, {Wall: 4}},
	}}
	assert.Equal(t, "0.50 (0.50, 0.75)", result.ratio("other", func(u Usage) time.Duration { return u.Wall }))
}

func TestParseSize(t *testing.T) {
	size, err := parseSize("100x5")
	require.NoError(t, err)
	assert.Equal(t, synthetic.Size{Services: 100, Overlays: 5}, size)
	for _, text := range []string{"", "100", "x5", "0x5", "100x-1", "axb"} {
		_, err := parseSize(text)
		assert.Error(t, err, text)
	}
}
