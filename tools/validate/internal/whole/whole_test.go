package whole_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ft-services/ft-services/tools/validate/internal/whole"
)

func TestWrite(t *testing.T) {
	dir := t.TempDir()
	file, link := filepath.Join(dir, "report.json"), filepath.Join(dir, "latest.json")
	require.NoError(t, whole.Write(file, []byte("one")))
	require.NoError(t, os.Chmod(file, 0o640))
	require.NoError(t, os.Symlink("report.json", link))
	require.NoError(t, whole.Write(link, []byte("two")))

	got, err := os.ReadFile(file)
	require.NoError(t, err)
	assert.Equal(t, "two", string(got))
	info, err := os.Lstat(link)
	require.NoError(t, err)
	assert.Equal(t, os.ModeSymlink, info.Mode().Type(), "a link stays one")
	info, err = os.Stat(file)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o640), info.Mode(), "the file keeps its permissions")
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	assert.Len(t, entries, 2, "nothing else is left")
}

func TestWriteIntoADevice(t *testing.T) {
	before, err := os.Stat(os.DevNull)
	require.NoError(t, err)
	require.NoError(t, whole.Write(os.DevNull, []byte("x")))
	after, err := os.Stat(os.DevNull)
	require.NoError(t, err)
	assert.Equal(t, before.Mode(), after.Mode(), "a device is not replaced")
}

func TestWriteLeavesNothingBehind(t *testing.T) {
	dir := t.TempDir()
	assert.ErrorContains(t, whole.Write(dir, nil), "is a directory")
	assert.ErrorIs(t, whole.Write(filepath.Join(dir, "none", "report.json"), nil), os.ErrNotExist)
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	assert.Empty(t, entries)
}
