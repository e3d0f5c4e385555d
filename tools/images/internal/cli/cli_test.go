package cli

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ft-services/ft-services/tools/images/internal/build"
	"github.com/ft-services/ft-services/tools/images/internal/lock"
)

// built is a result of each image; base holds libc6 in the given version, web nginx.
func built(libc, nginx string) []build.Result {
	result := func(name, reference string, packages map[string]string) build.Result {
		return build.Result{
			Name: name, Reference: reference, Status: build.Built,
			Record: &build.Record{Name: name, Reference: reference, Packages: packages},
		}
	}
	web := result("web", "localhost/x/web:1.22.1-3", map[string]string{"nginx": nginx})
	web.VersionFrom = "nginx"
	return []build.Result{
		result("base", "localhost/x/base:bookworm", map[string]string{"libc6": libc}),
		result("tool", "localhost/x/tool:0.1-1", nil),
		web,
		{Name: "vendor", Reference: "localhost/x/vendor:12-1", Status: build.NotBuilt, Err: errors.New("no archive")},
	}
}

func TestSaveLock(t *testing.T) {
	file := filepath.Join(t.TempDir(), "lock.yaml")
	former := &lock.File{Epoch: 1, Images: map[string]lock.Image{"vendor": {Tag: "12-1"}}}
	var said strings.Builder
	require.NoError(t, saveLock(&said, file, former, 2, built("2.36-1", "1.22.1-9")))
	former, err := lock.Load(file)
	require.NoError(t, err)
	assert.Equal(t, int64(2), former.Epoch)
	assert.Equal(t, "12-1", former.Images["vendor"].Tag, "what is not here has not changed")
	assert.Equal(t, map[string]string{"nginx": "1.22.1-9"}, former.Images["web"].Packages)
	assert.NotContains(t, said.String(), "raise")

	for name, test := range map[string]struct {
		results []build.Result
		raise   []string
	}{
		"nothing":               {built("2.36-1", "1.22.1-9"), nil},
		"one image":             {built("2.36-1", "1.22.1-10"), []string{"web"}},
		"the base image of all": {built("2.36-2", "1.22.1-9"), []string{"tool", "web"}},
	} {
		t.Run(name, func(t *testing.T) {
			var said strings.Builder
			require.NoError(t, saveLock(&said, filepath.Join(t.TempDir(), "lock.yaml"), former, 3, test.results))
			var raise []string
			for line := range strings.Lines(said.String()) {
				if image, _, found := strings.Cut(line, " holds other packages than before: raise its revision"); found {
					raise = append(raise, image)
				}
			}
			assert.Equal(t, test.raise, raise)
		})
	}
}

func TestLockOfWrongVersionIsNotSaved(t *testing.T) {
	file := filepath.Join(t.TempDir(), "lock.yaml")
	err := saveLock(&strings.Builder{}, file, &lock.File{}, 1, built("2.36-1", "1.24.0-1"))
	require.ErrorContains(t, err, "set newTag: 1.24.0-1")
	failed := built("2.36-1", "1.22.1-9")
	failed[1] = build.Result{Name: "tool", Status: build.Failed, Err: errors.New("x")}
	require.ErrorContains(t, saveLock(&strings.Builder{}, file, &lock.File{}, 1, failed), "tool was not built")
	assert.NoFileExists(t, file)
}

func TestJudge(t *testing.T) {
	results := built("2.36-1", "1.22.1-9")
	same := &lock.File{Images: map[string]lock.Image{
		"base": {Packages: map[string]string{"libc6": "2.36-1"}},
		"tool": {Tag: "0.1-1"}, "web": {Tag: "1.22.1-3", Packages: map[string]string{"nginx": "1.22.1-9"}},
	}}
	other := &lock.File{Images: map[string]lock.Image{}}
	for name, test := range map[string]struct {
		options options
		locked  *lock.File
		want    string
	}{
		"as locked":              {options{locked: true}, same, ""},
		"differs":                {options{}, other, ""},
		"differs, --locked":      {options{locked: true}, other, "not what the lock file says: base, tool, web"},
		"missing, --require-all": {options{requireAll: true}, same, "not built: vendor"},
	} {
		t.Run(name, func(t *testing.T) {
			var said strings.Builder
			err := judge(test.options, &said, test.locked, results)
			if test.want == "" {
				require.NoError(t, err)
			} else {
				require.ErrorContains(t, err, test.want)
			}
			assert.Contains(t, said.String(), "vendor was NOT built: no archive")
			assert.Equal(t, test.locked == other, strings.Contains(said.String(), "differs from what is locked"))
		})
	}
}
