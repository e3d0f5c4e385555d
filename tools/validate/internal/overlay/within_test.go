package overlay_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ft-services/ft-services/tools/validate/internal/overlay"
)

func TestWithin(t *testing.T) {
	for name, test := range map[string]struct {
		files map[string]string // kustomizations by their directory
		dir   string
		want  []string
	}{
		"itself":              {map[string]string{"a": "", "a/b": ""}, "a", []string{"a"}},
		"those below":         {map[string]string{"b": "", "a/c": "", "a/c/d": ""}, ".", []string{"a/c", "b"}},
		"what none other has": {map[string]string{"base": "", "prod": "resources: [../base]"}, ".", []string{"prod"}},
		"used by a part":      {map[string]string{"base": "", "prod": "resources: [web]", "prod/web": "resources: [../../base]"}, ".", []string{"prod"}},
		"the old field":       {map[string]string{"base": "", "prod": "bases: [../base/]"}, ".", []string{"prod"}},
		"a component":         {map[string]string{"tls": "kind: Component", "prod": "components: [../tls]", "spare": "kind: Component"}, ".", []string{"prod"}},
		"remote and missing":  {map[string]string{"a": "resources: ['https://example.com/x', /tmp, ../gone, x.yaml]"}, ".", []string{"a"}},
		"unreadable":          {map[string]string{"a": "resources: [", "b": "resources: {}"}, ".", []string{"a", "b"}},
		"uses itself":         {map[string]string{"a": "resources: [../a]", "b": ""}, ".", []string{"a", "b"}},
		"a program's tests":   {map[string]string{"a": "", "tool/testdata/b": ""}, ".", []string{"a"}},
		"use each other":      {map[string]string{"a": "resources: [../b]", "b": "resources: [../a, ../d]", "c": "", "d": ""}, ".", []string{"a", "b", "c"}},
		"none":                {map[string]string{"a": ""}, "other", []string{"other"}},
		"missing":             {nil, "gone", []string{"gone"}},
		"a file":              {nil, "README.md", []string{"README.md"}},
		"strict in overlays":  {map[string]string{"overlays/a": ""}, ".", []string{"overlays/a", "overlays/empty"}},
		"named so":            {map[string]string{"overlays/a": ""}, "overlays", []string{"overlays/a", "overlays/empty"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			require.NoError(t, os.Mkdir("other", 0o700))
			require.NoError(t, os.WriteFile("README.md", nil, 0o600))
			for dir, text := range test.files {
				require.NoError(t, os.MkdirAll(dir, 0o700))
				require.NoError(t, os.WriteFile(filepath.Join(dir, "kustomization.yaml"), []byte(text), 0o600))
				if filepath.Dir(dir) == overlay.Dir {
					require.NoError(t, os.Mkdir("overlays/empty", 0o700))
				}
			}
			found, err := overlay.Within(test.dir)
			require.NoError(t, err)
			assert.Equal(t, test.want, found)
		})
	}
}
