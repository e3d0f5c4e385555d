package manifest_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ft-services/ft-services/tools/validate/internal/manifest"
	"github.com/ft-services/ft-services/tools/validate/internal/overlay"
	"github.com/ft-services/ft-services/tools/validate/internal/schema"
)

// BenchmarkDecode decodes and checks the objects of an overlay of this repository; an operation is one
// object.
func BenchmarkDecode(b *testing.B) {
	rendered, err := overlay.Render(b.Context(), "../../../../overlays/minikube")
	require.NoError(b, err)
	resources := rendered.Resources()
	set, err := schema.NewLibrary().Set("1.34")
	require.NoError(b, err)
	decoder := manifest.NewDecoder(set)
	for i := 0; b.Loop(); i++ {
		_, _, err := decoder.Decode(b.Context(), &resources[i%len(resources)].RNode)
		require.NoError(b, err)
	}
}

// BenchmarkDecodeCustom is an object of a kind with a rule.
func BenchmarkDecodeCustom(b *testing.B) {
	set, err := schema.NewLibrary().Set("1.36", define(b, widgets))
	require.NoError(b, err)
	decoder := manifest.NewDecoder(set)
	object := manifest.New(map[string]any{
		"apiVersion": "example.com/v1", "kind": "Widget", "metadata": map[string]any{"name": "web"},
		"spec": map[string]any{"size": int64(2), "parts": []any{map[string]any{"name": "a", "limit": int64(2)}}},
	})
	for b.Loop() {
		defects, err := decoder.Check(b.Context(), object)
		require.NoError(b, err)
		require.Empty(b, defects)
	}
}

// BenchmarkFirst is what the first object of a run costs beside its own check: to unpack the schemas.
func BenchmarkFirst(b *testing.B) {
	for b.Loop() {
		_, err := schema.NewLibrary().Set("1.36")
		require.NoError(b, err)
	}
}
