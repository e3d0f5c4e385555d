package main_test

import (
	"context"
	"io"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ft-services/ft-services/tools/validate/internal/cli"
	"github.com/ft-services/ft-services/tools/validate/internal/overlay"
)

// BenchmarkValidate is a whole run over the repository's overlays, as the command makes it.
func BenchmarkValidate(b *testing.B) {
	b.Chdir("../..")
	for b.Loop() {
		require.Equal(b, cli.ExitClean, cli.Run(context.Background(), nil, io.Discard, io.Discard))
	}
}

// BenchmarkRender is the part of it that is Kustomize's own, for one overlay.
func BenchmarkRender(b *testing.B) {
	overlay.Warm()
	for b.Loop() {
		_, err := overlay.Render(context.Background(), "../../overlays/minikube")
		require.NoError(b, err)
	}
}
