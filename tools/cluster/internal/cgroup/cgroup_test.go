package cgroup

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestParseMounts(t *testing.T) {
	const root = "27 1 254:0 / / rw - ext4 /dev/vda rw\n31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n"
	tests := map[string]struct {
		mounts      string
		hierarchies []string
		beside      []string
		fails       bool
	}{
		"version 1": {
			mounts:      root + "39 31 0:36 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n35 31 0:32 / /sys/fs/cgroup/memory rw shared:9 master:2 - cgroup cgroup rw,memory\n",
			hierarchies: []string{"/sys/fs/cgroup/memory", "/sys/fs/cgroup/pids"},
		},
		"both": {
			mounts:      root + "39 31 0:36 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n",
			hierarchies: []string{"/sys/fs/cgroup/pids"}, beside: []string{"/sys/fs/cgroup/unified"},
		},
		"version 2": {
			mounts:      "30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw\n",
			hierarchies: []string{"/sys/fs/cgroup"},
		},
		"elsewhere too": {
			mounts:      "30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n99 23 0:26 /x /srv/cgroup rw - cgroup2 cgroup2 rw\n",
			hierarchies: []string{"/sys/fs/cgroup"},
		},
		"none": {mounts: root, fails: true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			hierarchies, beside, err := parseMounts(strings.NewReader(test.mounts))
			assert.Equal(t, test.fails, err != nil)
			assert.Equal(t, test.hierarchies, hierarchies)
			assert.Equal(t, test.beside, beside)
		})
	}
}

func TestCpusetIsInherited(t *testing.T) {
	root := t.TempDir()
	tree := &Tree{path: "group/one", hierarchies: []string{root}}
	// The kernel makes these files with each folder; here they are made beforehand.
	for _, dir := range []string{"", "group", "group/one", "group/one/child"} {
		require.NoError(t, os.MkdirAll(filepath.Join(root, dir), 0o755))
		value := ""
		if dir == "" {
			value = "0-1\n"
		}
		require.NoError(t, os.WriteFile(filepath.Join(root, dir, "cpuset.cpus"), []byte(value), 0o644))
		require.NoError(t, os.WriteFile(filepath.Join(root, dir, "cpuset.mems"), []byte(value), 0o644))
	}
	dirs, err := tree.Create("child")
	require.NoError(t, err)
	assert.Equal(t, []string{filepath.Join(root, "group/one/child")}, dirs)
	data, err := os.ReadFile(filepath.Join(dirs[0], "cpuset.cpus"))
	require.NoError(t, err)
	assert.Equal(t, "0-1\n", string(data))
}

func TestProcessesAreFoundBelowToo(t *testing.T) {
	one, two := t.TempDir(), t.TempDir()
	tree := &Tree{path: "group/one", hierarchies: []string{one, two}}
	for path, pids := range map[string]string{
		filepath.Join(one, "group/one/a"):   "12\n7\n",
		filepath.Join(one, "group/one/b/c"): "9\n",
		filepath.Join(two, "group/one/a"):   "7\n0\n31\n",
		filepath.Join(two, "group/other"):   "99\n",
	} {
		require.NoError(t, os.MkdirAll(path, 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(path, "cgroup.procs"), []byte(pids), 0o644))
	}
	pids, err := tree.Processes("")
	require.NoError(t, err)
	assert.Equal(t, []int{7, 9, 12, 31}, pids)
	pids, err = tree.Processes("b")
	require.NoError(t, err)
	assert.Equal(t, []int{9}, pids)
	pids, err = tree.Processes("gone")
	require.NoError(t, err)
	assert.Empty(t, pids)
}

func TestSignalSparesStrangers(t *testing.T) {
	tree := &Tree{path: "group/one"}
	assert.False(t, tree.holds("", os.Getpid()), "this test is in no such cgroup")
	assert.False(t, tree.holds("", 1<<30), "no such process")
}

func TestRemoveTakesTheEmptyParentOnly(t *testing.T) {
	root, beside := t.TempDir(), t.TempDir()
	tree := &Tree{path: "group/one", hierarchies: []string{root}, beside: []string{beside}}
	for _, dir := range []string{filepath.Join(root, "group/one/a/b"), filepath.Join(root, "group/other"), filepath.Join(beside, "group/one/a")} {
		require.NoError(t, os.MkdirAll(dir, 0o755))
	}
	require.NoError(t, tree.Remove())
	assert.NoDirExists(t, filepath.Join(root, "group/one"))
	assert.DirExists(t, filepath.Join(root, "group/other"))
	assert.NoDirExists(t, filepath.Join(beside, "group"))
	require.NoError(t, tree.Remove(), "a second time there is nothing to do")
}

func TestUsage(t *testing.T) {
	root := t.TempDir()
	tree := &Tree{path: "group", hierarchies: []string{root}}
	_, ok := tree.Usage("a")
	assert.False(t, ok)
	dir := filepath.Join(root, "group/a")
	require.NoError(t, os.MkdirAll(dir, 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "memory.current"), []byte("1000\n"), 0o644))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "memory.stat"), []byte("anon 1\ninactive_file 300\n"), 0o644))
	usage, ok := tree.Usage("a")
	assert.True(t, ok)
	assert.Equal(t, uint64(700), usage)
}
