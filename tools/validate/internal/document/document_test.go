package document_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/ft-services/ft-services/tools/validate/internal/document"
	"github.com/ft-services/ft-services/tools/validate/internal/policy"
)

func TestMarkdown(t *testing.T) {
	text := string(document.Markdown("policies", []*policy.Policy{
		{Name: "images/pinned-tag_x", Title: "One | two\nthree", Severity: "warning", File: "policies/images/x.rego"},
		{Name: "services/a", Title: "A", Severity: "error", Requirements: []string{"R10", "R2", "B1"}, RelatedResources: []string{"https://example.com"}, File: "policies/services/a/a.rego"},
	}))
	for _, line := range []string{
		"What must hold, as Rego: 2 policies in 2 categories. A finding of severity error fails a run,",
		`| [pinned-tag_x](#imagespinned-tag_x) | warning | – | One \| two three |`,
		"| [a](#servicesa) | error | R10, R2, B1 | A |",
		"- <https://example.com>",
		"- [services/a/a.rego](services/a/a.rego)",
	} {
		assert.Contains(t, text, line+"\n")
	}
	assert.Less(t, strings.Index(text, "| B1 |"), strings.Index(text, "| R2 |"))
	assert.Less(t, strings.Index(text, "| R2 |"), strings.Index(text, "| R10 |"), "numbers in their order")
	assert.NotContains(t, string(document.Markdown("p", nil)), "By requirement")
}
