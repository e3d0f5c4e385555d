package lock_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ft-services/ft-services/tools/images/internal/lock"
)

func TestDifferences(t *testing.T) {
	f := &lock.File{Epoch: 1, Images: map[string]lock.Image{
		"web": {Tag: "1.0-1", Packages: map[string]string{"nginx": "1.0-2", "libc6": "2"}, Programs: map[string]string{"example.com/x": "v1.0.0"}},
	}}
	same := lock.Image{Tag: "1.0-1", Packages: map[string]string{"nginx": "1.0-2", "libc6": "2"}, Programs: map[string]string{"example.com/x": "v1.0.0"}}
	assert.Empty(t, f.Differences("web", same))
	assert.Equal(t, []string{"it is not in the lock file"}, f.Differences("other", same))
	assert.Equal(t, []string{
		"its tag is 1.0-2, locked is 1.0-1",
		"package libc6 2 is locked, but missing",
		"package nginx is 1.0-3, locked is 1.0-2",
		"package zlib1g 1 is not in the lock file",
		"program example.com/x is v1.0.1, locked is v1.0.0",
	}, f.Differences("web", lock.Image{
		Tag: "1.0-2", Packages: map[string]string{"nginx": "1.0-3", "zlib1g": "1"}, Programs: map[string]string{"example.com/x": "v1.0.1"},
	}))
}

func TestSaveAndLoad(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock.yaml")
	_, err := lock.Load(path)
	require.ErrorIs(t, err, os.ErrNotExist)
	f := &lock.File{Epoch: 1700000000, Images: map[string]lock.Image{"base": {Packages: map[string]string{"dash": "0.5"}}}}
	require.NoError(t, f.Save(path))
	first, err := os.ReadFile(path)
	require.NoError(t, err)
	back, err := lock.Load(path)
	require.NoError(t, err)
	assert.Equal(t, f, back)
	require.NoError(t, back.Save(path))
	second, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, string(first), string(second))
	left, err := os.ReadDir(filepath.Dir(path))
	require.NoError(t, err)
	assert.Len(t, left, 1, "no scratch file stays")
}

func TestBadLockFiles(t *testing.T) {
	for name, text := range map[string]string{"not YAML": "{", "unknown field": "epoch: 1\nimage: {}", "no epoch": "images: {}"} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "lock.yaml")
			require.NoError(t, os.WriteFile(path, []byte(text), 0o644))
			_, err := lock.Load(path)
			assert.ErrorContains(t, err, path)
			assert.ErrorContains(t, err, "make lock")
		})
	}
}
