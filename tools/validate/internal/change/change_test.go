package change_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ft-services/ft-services/tools/validate/internal/change"
	"github.com/ft-services/ft-services/tools/validate/internal/overlay"
)

// TestReadsAreThoseOfABuild compares what is foreseen with what a build asks for, in every overlay of
// the repository and every tree of the tests.
func TestReadsAreThoseOfABuild(t *testing.T) {
	overlays, err := overlay.Find("../../../../overlays")
	require.NoError(t, err)
	shared := change.NewTree()
	for _, dir := range overlays {
		t.Run(filepath.Base(dir), func(t *testing.T) { compare(t, shared, dir) })
	}
	for name, root := range trees(t) {
		t.Run(name, func(t *testing.T) { compare(t, change.NewTree(), filepath.Join(root, "overlay")) })
	}
}

func compare(t *testing.T, tree *change.Tree, dir string) {
	t.Helper()
	rendered, err := overlay.Render(overlay.Alone(t.Context()), dir)
	require.NoError(t, err)
	foreseen := tree.Reads(dir)
	var read, files []string
	for _, path := range rendered.Read() {
		real, err := filepath.EvalSymlinks(path)
		if err != nil {
			real = path // It would have been read.
		}
		assert.Contains(t, foreseen, real)
		if info, err := os.Lstat(path); err == nil && info.Mode()&fs.ModeSymlink != 0 {
			assert.Contains(t, foreseen, path)
		}
		if isFile(real) {
			read = append(read, real)
		}
	}
	require.NotEmpty(t, read)
	for path := range foreseen {
		if isFile(path) {
			files = append(files, path)
		}
	}
	slices.Sort(read)
	slices.Sort(files)
	assert.Equal(t, slices.Compact(read), files, "files that are there")
}

// isFile does not follow links.
func isFile(path string) bool {
	info, err := os.Lstat(path)
	return err == nil && info.Mode().IsRegular()
}

// TestNoChangePasses takes each file and link away, then spoils it: unless that is foreseen to affect the
// overlay, it must render as before.
func TestNoChangePasses(t *testing.T) {
	for name, root := range trees(t) {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(root, "overlay")
			before := outcome(t, dir)
			var paths []string
			require.NoError(t, filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
				if err == nil && !entry.IsDir() {
					paths = append(paths, path)
				}
				return err
			}))
			for _, path := range paths {
				aside := filepath.Join(t.TempDir(), "aside")
				require.NoError(t, os.Rename(path, aside))
				check := func(how string) {
					if !change.NewSet(root, []string{path}).Affects(dir) {
						assert.Equal(t, before, outcome(t, dir), "%s is %s", path, how)
					}
				}
				check("removed")
				require.NoError(t, os.WriteFile(path, []byte("kind: [unsound"), 0o600))
				check("spoilt")
				require.NoError(t, os.Remove(path))
				require.NoError(t, os.Rename(aside, path))
			}
		})
	}
}

func outcome(t *testing.T, dir string) string {
	rendered, err := overlay.Render(overlay.Alone(t.Context()), dir)
	if err != nil {
		return err.Error()
	}
	text, err := rendered.YAML()
	require.NoError(t, err)
	return string(text)
}

// trees unpacks those of the attribution and those of this package. A file whose content begins with
// "-> " is a link.
func trees(t *testing.T) map[string]string {
	t.Helper()
	unpacked := map[string]string{}
	for _, pattern := range []string{"testdata/*.txtar", "../attribute/testdata/*.txtar"} {
		files, err := filepath.Glob(pattern)
		require.NoError(t, err)
		require.NotEmpty(t, files)
		for _, file := range files {
			archive, err := txtar.ParseFile(file)
			require.NoError(t, err)
			unpacked[strings.TrimSuffix(filepath.Base(file), ".txtar")] = unpack(t, archive)
		}
	}
	return unpacked
}

func unpack(t *testing.T, archive *txtar.Archive) string {
	t.Helper()
	root, err := filepath.EvalSymlinks(t.TempDir())
	require.NoError(t, err)
	for _, file := range archive.Files {
		path := filepath.Join(root, file.Name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
		content := strings.ReplaceAll(string(file.Data), "▸", "") // The attribution's tests mark a place.
		if target, link := strings.CutPrefix(content, "-> "); link {
			require.NoError(t, os.Symlink(strings.TrimSpace(target), path))
			continue
		}
		require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
	}
	return root
}

// TestAffects has changes that no build of the tree as it is shows, and such as affect nothing.
func TestAffects(t *testing.T) {
	const service = "apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {ports: [{port: 80}]}\n"
	tree := func(more string) *txtar.Archive {
		return txtar.Parse([]byte("-- base/kustomization.yaml --\nresources: [service.yaml]\n-- base/service.yaml --\n" + service + more))
	}
	for name, test := range map[string]struct {
		more    string
		changed string
		affects bool
	}{
		"itself":                       {"-- overlay/kustomization.yaml --\nresources: [../base]\n", "overlay/kustomization.yaml", true},
		"what it uses":                 {"-- overlay/kustomization.yaml --\nresources: [../base]\n", "base/service.yaml", true},
		"another file":                 {"-- overlay/kustomization.yaml --\nresources: [../base]\n-- base/README.md --\n", "base/README.md", false},
		"another overlay":              {"-- overlay/kustomization.yaml --\nresources: [../base]\n-- other/kustomization.yaml --\nresources: [../base]\n", "other/kustomization.yaml", false},
		"a second kustomization":       {"-- overlay/kustomization.yaml --\nresources: [../base]\n", "overlay/Kustomization", true},
		"a removed kustomization":      {"-- overlay/service.yaml --\n" + service, "overlay/kustomization.yaml", true},
		"a removed file":               {"-- overlay/kustomization.yaml --\nresources: [../base, gone.yaml]\n", "overlay/gone.yaml", true},
		"a removed directory":          {"-- overlay/kustomization.yaml --\nresources: [../base, gone]\n", "overlay/gone/kustomization.yaml", true},
		"a directory above as a whole": {"-- overlay/kustomization.yaml --\nresources: [../above/base]\n-- above/base/kustomization.yaml --\n", "above", true},
		"a name that begins alike":     {"-- overlay/kustomization.yaml --\nresources: [../base]\n", "bas", false},
		"a link to a file":             {"-- overlay/kustomization.yaml --\nresources: [link.yaml]\n-- overlay/link.yaml --\n-> ../base/service.yaml\n", "overlay/link.yaml", true},
		"where a link leads":           {"-- overlay/kustomization.yaml --\nresources: [link]\n-- overlay/link --\n-> ../base\n", "base/service.yaml", true},
		"a link on the way":            {"-- overlay/kustomization.yaml --\nresources: [link/service.yaml]\n-- overlay/link --\n-> middle\n-- overlay/middle --\n-> ../base\n", "overlay/middle", true},
		"a link to nowhere":            {"-- overlay/kustomization.yaml --\nresources: [link.yaml]\n-- overlay/link.yaml --\n-> gone.yaml\n", "overlay/gone.yaml", true},
		"a link to itself":             {"-- overlay/kustomization.yaml --\nresources: [link.yaml]\n-- overlay/link.yaml --\n-> link.yaml\n", "base/service.yaml", false},
		"an overlay that is a link":    {"-- real/kustomization.yaml --\nresources: [../base]\n-- overlay --\n-> real\n", "overlay", true},
		"behind one":                   {"-- real/kustomization.yaml --\nresources: [../base]\n-- overlay --\n-> real\n", "real/kustomization.yaml", true},
		"a circle of kustomizations":   {"-- overlay/kustomization.yaml --\nresources: [../a]\n-- a/kustomization.yaml --\nresources: [../overlay, ../base]\n", "base/service.yaml", true},
		"behind an alias":              {"-- overlay/kustomization.yaml --\ncommonAnnotations: {a: &x ../base}\nresources: [*x]\n", "base/service.yaml", true},
		"a merged key":                 {"-- overlay/kustomization.yaml --\nconfigMapGenerator:\n  - &x {name: x, files: [f=f.txt]}\n  - {<<: *x, name: y}\n-- overlay/f.txt --\n", "overlay/f.txt", true},
		"a chart's values":             {"-- overlay/kustomization.yaml --\nhelmCharts: [{name: x, valuesFile: values.yaml}]\n", "overlay/values.yaml", true},
		"what an unknown field names":  {"-- overlay/kustomization.yaml --\nnovelties: [{file: new.yaml}]\n", "overlay/new.yaml", true},
		"a namespace of a file's name": {"-- overlay/kustomization.yaml --\nresources: [../base]\nnamespace: notes\n-- overlay/notes --\n", "overlay/notes", false},
		"outside":                      {"-- overlay/kustomization.yaml --\nresources: [service.yaml]\n-- overlay/service.yaml --\n-> /etc/hostname\n", "other", true},
	} {
		t.Run(name, func(t *testing.T) {
			root := unpack(t, tree(test.more))
			set := change.NewSet(root, []string{filepath.Join(root, test.changed)})
			assert.Equal(t, test.affects, set.Affects(filepath.Join(root, "overlay")))
		})
	}
}

// TestAffectsByMember: what was found out for one overlay holds for the next.
func TestAffectsByMember(t *testing.T) {
	root := unpack(t, txtar.Parse([]byte(`
-- a/kustomization.yaml --
resources: [../b]
-- b/kustomization.yaml --
resources: [../a, ../c]
-- c/kustomization.yaml --
resources: [service.yaml]
-- d/kustomization.yaml --
resources: [service.yaml]
`)))
	set := change.NewSet(root, []string{filepath.Join(root, "c/service.yaml")})
	for dir, want := range map[string]bool{"a": true, "b": true, "c": true, "d": false} {
		assert.Equal(t, want, set.Affects(filepath.Join(root, dir)), dir)
	}
}
