package regular_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ft-services/ft-services/tools/validate/internal/regular"
)

func TestRead(t *testing.T) {
	dir := t.TempDir()
	file, link, pipe := filepath.Join(dir, "file"), filepath.Join(dir, "link"), filepath.Join(dir, "pipe")
	require.NoError(t, os.WriteFile(file, []byte("text"), 0o600))
	require.NoError(t, os.Symlink("file", link))
	require.NoError(t, syscall.Mkfifo(pipe, 0o600))
	for _, path := range []string{file, link} {
		text, err := regular.Read(path)
		require.NoError(t, err)
		assert.Equal(t, "text", string(text))
	}
	_, err := regular.Read(pipe)
	assert.ErrorIs(t, err, regular.ErrNot)
	assert.ErrorContains(t, err, pipe)
	_, err = regular.Read(filepath.Join(dir, "none"))
	assert.ErrorIs(t, err, fs.ErrNotExist)
	_, err = regular.Read(dir)
	assert.Error(t, err)
}
