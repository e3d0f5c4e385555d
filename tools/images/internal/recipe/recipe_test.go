package recipe_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ft-services/ft-services/tools/images/internal/recipe"
)

func write(t *testing.T, dir, text string) string {
	t.Helper()
	require.NoError(t, os.MkdirAll(dir, 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(dir, recipe.File), []byte(text), 0o644))
	require.NoError(t, os.WriteFile(filepath.Join(dir, recipe.Dockerfile), []byte("FROM scratch\n"), 0o644))
	return dir
}

func TestLoad(t *testing.T) {
	dir := write(t, filepath.Join(t.TempDir(), "web"), `
versionFrom: nginx
packages: [nginx, libfcgi-bin]
exclude: [/usr/share/doc/*]
purge: [perl-base]
go:
  - {package: ./images/web, output: web}
  - {package: example.com/x/cmd/y@v1.2.3, output: y, tags: [a, b], sum: "h1:abc="}
`)
	r, err := recipe.Load(dir)
	require.NoError(t, err)
	assert.Equal(t, "web", r.Name)
	assert.Equal(t, []string{"nginx", "libfcgi-bin"}, r.Packages)
	assert.True(t, r.Go[0].Local())
	assert.False(t, r.Go[1].Local())
}

func TestBadRecipes(t *testing.T) {
	sum := strings.Repeat("a", 128)
	tests := map[string]struct{ text, want string }{
		"unknown field":         {"version: 1\npackage: [x]", `unknown field "package"`},
		"no version":            {"packages: [nginx]", "exactly one of `versionFrom`"},
		"two versions":          {"version: \"1\"\nversionFrom: nginx", "exactly one of `versionFrom`"},
		"package with options":  {"versionFrom: nginx\npackages: [\"nginx --allow\"]", "is not the name of a Debian package"},
		"purge with shell":      {"versionFrom: nginx\npurge: [\"x;reboot\"]", "is not the name of a Debian package"},
		"relative exclude":      {"versionFrom: nginx\nexclude: [usr/share/doc]", "dpkg matches absolute paths"},
		"program not pinned":    {"version: \"1\"\ngo: [{package: example.com/x, output: x}]", "write PACKAGE@vVERSION"},
		"program at latest":     {"version: \"1\"\ngo: [{package: example.com/x@latest, output: x}]", "write PACKAGE@vVERSION"},
		"program without sum":   {"version: \"1\"\ngo: [{package: example.com/x@v1.0.0, output: x}]", "`sum` (h1:…) of its module is missing"},
		"output is a path":      {"version: \"1\"\ngo: [{package: ./x, output: ../x}]", "is not a file name"},
		"archive over http":     {"version: \"1\"\narchive: {file: a.tgz, url: \"http://x/a.tgz\", size: 1, sha512: " + sum + "}", "must be https"},
		"archive without a sum": {"version: \"1\"\narchive: {file: a.tgz, url: \"https://x/a.tgz\", size: 1, sha512: abc}", "128 hexadecimal digits"},
		"archive in a folder":   {"version: \"1\"\narchive: {file: a/b.tgz, url: \"https://x/a.tgz\", size: 1, sha512: " + sum + "}", "is not a file name"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			dir := write(t, filepath.Join(t.TempDir(), "web"), test.text)
			_, err := recipe.Load(dir)
			require.ErrorContains(t, err, test.want)
			assert.ErrorContains(t, err, filepath.Join(dir, recipe.File))
		})
	}
}

func TestWithoutDockerfile(t *testing.T) {
	dir := write(t, filepath.Join(t.TempDir(), "web"), "version: \"1\"")
	require.NoError(t, os.Remove(filepath.Join(dir, recipe.Dockerfile)))
	_, err := recipe.Load(dir)
	assert.ErrorContains(t, err, "image web has no Dockerfile")
}

func TestLoadAll(t *testing.T) {
	dir := t.TempDir()
	_, err := recipe.LoadAll(dir)
	require.ErrorContains(t, err, "no image in "+dir)
	write(t, filepath.Join(dir, "b"), "version: \"1\"")
	write(t, filepath.Join(dir, "a"), "version: \"1\"")
	require.NoError(t, os.Mkdir(filepath.Join(dir, "not-an-image"), 0o755))
	all, err := recipe.LoadAll(dir)
	require.NoError(t, err)
	require.Len(t, all, 2)
	assert.Equal(t, "a", all[0].Name)
	write(t, filepath.Join(dir, "c"), "")
	write(t, filepath.Join(dir, "d"), "")
	_, err = recipe.LoadAll(dir)
	assert.ErrorContains(t, err, filepath.Join("c", recipe.File))
	assert.ErrorContains(t, err, filepath.Join("d", recipe.File), "all mistakes are told at once")
}
