package cluster

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestLock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "folder", "cluster.lock")
	release, err := lock(path, 0)
	require.NoError(t, err)
	_, err = lock(path, 0)
	require.ErrorContains(t, err, "another run is working on it")

	// Its holder ends while somebody waits, and leaves the file or removes it.
	for _, remove := range []bool{false, true} {
		holder := release
		time.AfterFunc(100*time.Millisecond, func() { holder(remove) })
		next, err := lock(path, 10*time.Second)
		require.NoError(t, err)
		release = next
	}
	release(true)
	assert.NoFileExists(t, path)
	assert.NoDirExists(t, filepath.Dir(path))
}
