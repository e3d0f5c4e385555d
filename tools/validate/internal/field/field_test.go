package field_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ft-services/ft-services/tools/validate/internal/field"
)

func TestFormatAndParse(t *testing.T) {
	tests := map[string][]any{
		"":                         nil,
		"kind":                     {"kind"},
		"spec.ports[0].nodePort":   {"spec", "ports", 0, "nodePort"},
		`metadata.labels["a.b/c"]`: {"metadata", "labels", "a.b/c"},
		"spec[1][2]":               {"spec", 1, 2},
		`data[""]["a\"b"].c`:       {"data", "", `a"b`, "c"},
		`["a]b"]`:                  {"a]b"},
	}
	for want, path := range tests {
		assert.Equal(t, want, field.Format(path))
		got, err := field.Parse(want)
		require.NoError(t, err)
		assert.Equal(t, path, got)
	}
}

func TestParseRefuses(t *testing.T) {
	for text, says := range map[string]string{
		".spec":       "a key is missing",
		"spec.":       "",
		"spec..type":  "a key is missing",
		"spec/type":   "a dot or a bracket is missing",
		"ports[0":     "a bracket is not closed",
		"ports[x]":    "neither an index nor a key",
		"ports[-1]":   "neither an index nor a key",
		`ports["x"`:   "a bracket is not closed",
		"ports[0]x":   "a dot or a bracket is missing",
		"spec.po rts": "a dot or a bracket is missing",
	} {
		got, err := field.Parse(text)
		if says == "" {
			assert.Error(t, err, "%s gives %v", text, got)
			continue
		}
		assert.ErrorContains(t, err, says, text)
	}
}
