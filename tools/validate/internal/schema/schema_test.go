package schema

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestEveryEmbeddedSchemaIsSound parses what a run parses only when it needs it.
func TestEveryEmbeddedSchemaIsSound(t *testing.T) {
	library := NewLibrary()
	for _, minor := range Minors() {
		set, err := library.Set(minor)
		require.NoError(t, err)
		release := set.Release
		for name := range release.definitions {
			root, err := release.definition(name)
			require.NoError(t, err)
			check(t, release, name, root)
		}
		for kind, root := range release.roots {
			assert.Contains(t, release.definitions, root, "%s of Kubernetes %s", kind, minor)
		}
		assert.Contains(t, release.definitions, ObjectMeta)
	}
	definitions, err := library.definitions()
	require.NoError(t, err)
	require.NotEmpty(t, definitions)
	for key, definition := range definitions {
		compiled := library.compiled.of(definition)
		require.NoError(t, compiled.parse(), key)
		require.NotEmpty(t, definition.Served(), key)
		for _, version := range definition.Served() {
			assert.NoError(t, compiled.versions[version].compile(), "%s %s", key, version)
		}
	}
}

// check looks for what the walk would pass over in silence, or stumble over.
func check(t *testing.T, release *Release, name string, schema *node) {
	t.Helper()
	if schema == nil {
		return
	}
	if schema.Ref != "" {
		assert.Contains(t, release.definitions, schema.Ref, "%s of Kubernetes %s", name, release.Minor)
	}
	assert.Contains(t, []string{"", "object", "array", "string", "integer", "number", "boolean"}, schema.Type, name)
	assert.Contains(t, []string{"", "int32", "int64", "double", "byte", "date-time", "quantity", "int-or-string"}, schema.Format, name)
	assert.Equal(t, schema.Type == "array", schema.Items != nil, name)
	for _, key := range schema.Required {
		assert.Contains(t, schema.Properties, key, name)
	}
	for _, each := range schema.Properties {
		check(t, release, name, each)
	}
	check(t, release, name, schema.Items)
	check(t, release, name, schema.Additional)
}

func TestMinorOf(t *testing.T) {
	for text, want := range map[string]string{
		"1.36": "1.36", "v1.36": "1.36", "1.36.5": "1.36", "v1.36.10": "1.36",
		"": "", "1": "", "1.36.": "", "1.36.5-rc.0": "", "latest": "", "1.36 ": "",
	} {
		assert.Equal(t, want, MinorOf(text), text)
	}
}

func TestOlder(t *testing.T) {
	assert.True(t, Older("1.9", "1.36"))
	assert.False(t, Older("1.36", "1.9"))
	assert.False(t, Older("1.36", "1.36"))
}

func TestAnUnknownMinor(t *testing.T) {
	_, err := NewLibrary().Set("1.20")
	assert.ErrorIs(t, err, ErrUnknownMinor)
}

func TestLocate(t *testing.T) {
	type object = map[string]any
	value := object{"spec": object{
		"list": []any{object{"a": 1}, object{"x.y": object{"z": 1}}},
		"map":  object{"a": 1, "a.b/c": object{"d": 1}},
	}}
	for name, want := range map[string][]any{
		"":                      nil,
		"spec.list[1].x.y.z":    {"spec", "list", 1, "x.y", "z"},
		"spec.map.a.b/c.d":      {"spec", "map", "a.b/c", "d"},
		"spec.map[a.b/c].d":     {"spec", "map", "a.b/c", "d"},
		"spec.map[none]":        {"spec", "map", "none"},
		"spec.list[0].missing":  {"spec", "list", 0, "missing"},
		"spec.list[7].too.far":  {"spec", "list", "[7].too.far"},
		"spec.map.missing.keys": {"spec", "map", "missing.keys"},
	} {
		assert.Equal(t, want, locate(value, name), name)
	}
}
