package waiver_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ft-services/ft-services/tools/validate/internal/waiver"
)

// FuzzWaivers expects of whatever stands in the file that it is read, or that every line of the error
// names the file.
func FuzzWaivers(f *testing.F) {
	f.Add("waivers: []\n")
	f.Add("waivers:\n  - {policy: services/no_nodeport, object: Service/apps/web, reason: r, owner: o, expires: 2027-01-31}\n")
	f.Add("waivers:\n  - {policy: services/no_nodeport, object: Service/web, path: 'spec.ports[0]', overlay: 'a/*', reason: r, owner: o, expires: \"2027-01-31\"}\n")
	f.Add("waivers: &a [*a]\n")
	f.Add("waivers: [{policy: p, policy: p, container: [x], expires: 0000-00-00}]\n---\n{}\n")
	f.Add("<<: {waivers: []}\n")
	f.Add("waivers: [{overlay: '[', path: 'a[', container: b}]")
	f.Add("# nothing\n")
	f.Add("\xff\xfew\x00")
	f.Fuzz(func(t *testing.T, text string) {
		file := filepath.Join(t.TempDir(), "waivers.yaml")
		require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
		list, err := waiver.Load(file, false, []string{"services/no_nodeport"}, time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
		if err != nil {
			for line := range strings.Lines(err.Error()) {
				assert.Contains(t, line, file)
			}
			return
		}
		list.Ended()
		list.Unused([]string{"overlays/a"}, true)
	})
}
