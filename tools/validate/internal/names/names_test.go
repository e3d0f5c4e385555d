package names_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/ft-services/ft-services/tools/validate/internal/names"
)

var known = []string{"images/pinned_tag", "schema/strict", "services/no_ingress", "services/no_nodeport", "workloads/liveness_probe"}

func TestMatches(t *testing.T) {
	for pattern, want := range map[string]bool{
		"services/no_nodeport": true,
		"services/*":           true,
		"*/no_*":               true,
		"*":                    false,
		"services":             false,
		"services/[":           false,
	} {
		assert.Equal(t, want, names.Matches("services/no_nodeport", []string{pattern}), pattern)
	}
	assert.False(t, names.Matches("services/no_nodeport", nil))
}

func TestNear(t *testing.T) {
	for text, want := range map[string][]string{
		"services/no_nodport": {"services/no_nodeport"},
		"no_nodeport":         {"services/no_nodeport"},
		"services":            {"services/no_ingress", "services/no_nodeport"},
		"servises/*":          {"services/no_ingress", "services/no_nodeport"},
		"nodeprot":            {},
		"*":                   {},
		"entirely different":  {},
	} {
		assert.Equal(t, want, names.Near(text, known), text)
	}
}

func TestCheck(t *testing.T) {
	assert.NoError(t, names.Check("policy", nil, known))
	assert.NoError(t, names.Check("policy", []string{"services/*", "*/strict"}, known))
	assert.EqualError(t, names.Check("policy", []string{"images/pinned-tag"}, known), `there is no policy "images/pinned-tag"; near: images/pinned_tag`)
	assert.EqualError(t, names.Check("policy", []string{"x"}, known), `there is no policy "x"`)
	assert.ErrorContains(t, names.Check("policy", []string{"services/["}, known), `policy "services/[" is no glob: `)
}
