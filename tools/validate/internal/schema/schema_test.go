package schema_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ft-services/ft-services/tools/validate/internal/schema"
)

func TestKindsThatTheRepositoryUsesAreKnown(t *testing.T) {
	set, err := schema.Load()
	require.NoError(t, err)
	for _, kind := range [][3]string{
		{"metallb.io", "v1beta1", "IPAddressPool"},
		{"metallb.io", "v1beta1", "L2Advertisement"},
		{"kustomize.toolkit.fluxcd.io", "v1", "Kustomization"},
		{"source.toolkit.fluxcd.io", "v1", "GitRepository"},
		{"source.toolkit.fluxcd.io", "v1", "OCIRepository"},
		{"argoproj.io", "v1alpha1", "Application"},
		{"argoproj.io", "v1alpha1", "AppProject"},
		{"argoproj.io", "v1alpha1", "ApplicationSet"},
	} {
		violations, err := set.Validate(kind[0], kind[1], kind[2], map[string]any{})
		require.NoError(t, err, "%v", kind)
		assert.NotEmpty(t, violations, "%v: an empty object lacks its metadata", kind)
	}
	_, err = set.Validate("example.com", "v1", "Nothing", map[string]any{})
	assert.ErrorIs(t, err, schema.ErrUnknownKind)
}

func TestPathsHaveIndexes(t *testing.T) {
	set, err := schema.Load()
	require.NoError(t, err)
	violations, err := set.Validate("metallb.io", "v1beta1", "IPAddressPool", map[string]any{
		"apiVersion": "metallb.io/v1beta1", "kind": "IPAddressPool", "metadata": map[string]any{"name": "x"},
		"spec": map[string]any{"addresses": []any{"192.0.2.1/32", int64(5)}},
	})
	require.NoError(t, err)
	require.Len(t, violations, 1)
	assert.Equal(t, []any{"spec", "addresses", 1}, violations[0].Path)
}

func TestPathsKeepKeysWithDots(t *testing.T) {
	set, err := schema.Load()
	require.NoError(t, err)
	validate := func(labels map[string]any, spec map[string]any) []schema.Violation {
		violations, err := set.Validate("metallb.io", "v1beta1", "IPAddressPool", map[string]any{
			"apiVersion": "metallb.io/v1beta1", "kind": "IPAddressPool", "metadata": map[string]any{"name": "x", "labels": labels},
			"spec": spec,
		})
		require.NoError(t, err)
		return violations
	}
	addresses := []any{"192.0.2.1/32"}
	violations := validate(map[string]any{"a": "x", "a.b/c": int64(5)}, map[string]any{"addresses": addresses})
	require.Len(t, violations, 1)
	assert.Equal(t, []any{"metadata", "labels", "a.b/c"}, violations[0].Path)

	violations = validate(nil, map[string]any{"addresses": addresses, "x.y": true})
	require.Len(t, violations, 1)
	assert.Equal(t, []any{"spec", "x.y"}, violations[0].Path)
	assert.Equal(t, `the type has no field "x.y"`, violations[0].Text)

	violations = validate(nil, map[string]any{"addresses": addresses, "serviceAllocation": map[string]any{
		"serviceSelectors": []any{map[string]any{}, map[string]any{"matchLabels": map[string]any{"a.b/c": int64(5)}}},
	}})
	require.Len(t, violations, 1)
	assert.Equal(t, []any{"spec", "serviceAllocation", "serviceSelectors", 1, "matchLabels", "a.b/c"}, violations[0].Path)
}
