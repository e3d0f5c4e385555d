package sariftest_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/ft-services/ft-services/tools/validate/internal/sariftest"
)

// TestValidate shows that the schema refuses what it should.
func TestValidate(t *testing.T) {
	for name, test := range map[string]struct {
		log  string
		says string
	}{
		"sound":            {`{"version": "2.1.0", "runs": [{"tool": {"driver": {"name": "x"}}, "results": []}]}`, ""},
		"another version":  {`{"version": "2.2.0", "runs": []}`, "2.1.0"},
		"no tool":          {`{"version": "2.1.0", "runs": [{"results": []}]}`, "tool"},
		"an unknown field": {`{"version": "2.1.0", "runs": [{"tool": {"driver": {"name": "x", "typo": 1}}}]}`, "typo"},
		"no URI":           {`{"version": "2.1.0", "runs": [{"tool": {"driver": {"name": "x", "informationUri": "no uri"}}}]}`, "uri"},
		"line 0":           {`{"version": "2.1.0", "runs": [{"tool": {"driver": {"name": "x"}}, "results": [{"message": {"text": "x"}, "locations": [{"physicalLocation": {"artifactLocation": {"uri": "a"}, "region": {"startLine": 0}}}]}]}]}`, "startLine"},
	} {
		t.Run(name, func(t *testing.T) {
			err := sariftest.Validate([]byte(test.log))
			if test.says == "" {
				assert.NoError(t, err)
				return
			}
			assert.ErrorContains(t, err, test.says)
		})
	}
}
