package build

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestMountsBelow(t *testing.T) {
	const mountinfo = `22 1 254:0 / / rw - ext4 /dev/vda rw
30 22 0:20 / /a\040b/.work-1/db/dev rw - tmpfs none rw
31 30 0:21 / /a\040b/.work-1/db/dev/pts rw - devpts none rw
32 22 0:22 / /a\040b/.work-10/proc rw - proc proc rw
`
	assert.Equal(t, []string{"/a b/.work-1/db/dev/pts", "/a b/.work-1/db/dev"}, mountsBelow(mountinfo, "/a b/.work-1"))
}

// A mount that is not found is followed, and then what is mounted is deleted.
func TestRemoveLeavesWhatIsMounted(t *testing.T) {
	top := t.TempDir()
	host := filepath.Join(top, "host")
	folder := filepath.Join(top, "real folder")
	point := filepath.Join(folder, "work", "dev")
	require.NoError(t, os.MkdirAll(host, 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(host, "precious"), nil, 0o644))
	require.NoError(t, os.MkdirAll(point, 0o755))
	require.NoError(t, os.Symlink(folder, filepath.Join(top, "link")))
	if err := syscall.Mount(host, point, "", syscall.MS_BIND, ""); err != nil {
		t.Skipf("mounting needs root: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(point, syscall.MNT_DETACH) })
	require.NoError(t, remove(filepath.Join(top, "link", "work")))
	assert.NoDirExists(t, filepath.Join(folder, "work"))
	assert.FileExists(t, filepath.Join(host, "precious"))
	assert.NoError(t, remove(filepath.Join(top, "none")))
}
