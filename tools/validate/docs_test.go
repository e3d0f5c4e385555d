package main_test

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ft-services/ft-services/tools/validate/internal/cli"
)

// TestTheREADMEOfThePoliciesIsCurrent: run `go run ./tools/validate docs` when it is not.
func TestTheREADMEOfThePoliciesIsCurrent(t *testing.T) {
	var stdout, stderr bytes.Buffer
	require.Equal(t, cli.ExitClean, cli.Run(t.Context(), []string{"docs", "--check", "--policies", "../../policies"}, &stdout, &stderr), "%s", &stderr)
}
