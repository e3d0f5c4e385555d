package process

import (
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestParseStat(t *testing.T) {
	tests := map[string]struct {
		text string
		want stat
		bad  bool
	}{
		"plain":                       {text: "7 (etcd) S 1 7 7 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 9 0 4711 1000", want: stat{'S', 4711}},
		"a name that looks like more": {text: "7 (a) Z 1 (b)) R 1 7 7 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 9 0 12 1000", want: stat{'R', 12}},
		"cut short":                   {text: "7 (etcd) S 1 7", bad: true},
		"nothing":                     {text: "", bad: true},
		"no number":                   {text: "7 (etcd) S 1 7 7 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 9 0 x 1000", bad: true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := parseStat([]byte(test.text))
			assert.Equal(t, test.bad, err != nil)
			assert.Equal(t, test.want, got)
		})
	}
}

// start starts a process and records it.
func start(t *testing.T, manager *Manager) (*exec.Cmd, Record) {
	t.Helper()
	cmd := exec.Command("sleep", "60")
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	stat, err := readStat(cmd.Process.Pid)
	require.NoError(t, err)
	record := Record{Name: "sleeper", PID: cmd.Process.Pid, StartTime: stat.startTime, Boot: boot(), Started: time.Now().UTC()}
	require.NoError(t, manager.write(record))
	return cmd, record
}

func newManager(t *testing.T) *Manager {
	return &Manager{Records: t.TempDir(), Logs: t.TempDir()}
}

func TestRunning(t *testing.T) {
	manager := newManager(t)
	_, ok := manager.Running("sleeper")
	assert.False(t, ok, "never started")
	cmd, record := start(t, manager)
	found, ok := manager.Running("sleeper")
	assert.True(t, ok)
	assert.Equal(t, record.PID, found.PID)

	// Its process identifier belongs to another process now.
	recycled := record
	recycled.StartTime--
	require.NoError(t, manager.write(recycled))
	_, ok = manager.Running("sleeper")
	assert.False(t, ok, "same id, other start")
	require.Error(t, manager.Signal("sleeper", syscall.SIGKILL))
	_, err := readStat(record.PID)
	require.NoError(t, err, "the other process is left alone")

	rebooted := record
	rebooted.Boot = "another"
	require.NoError(t, manager.write(rebooted))
	_, ok = manager.Running("sleeper")
	assert.False(t, ok, "same id and start, other boot")

	require.NoError(t, manager.write(record))
	require.NoError(t, manager.Signal("sleeper", syscall.SIGKILL))
	require.Eventually(t, func() bool {
		_, ok := manager.Running("sleeper")
		return !ok
	}, 5*time.Second, 5*time.Millisecond, "a zombie does not run")
	_ = cmd.Wait()
}

func TestBrokenRecord(t *testing.T) {
	manager := newManager(t)
	require.NoError(t, os.WriteFile(manager.recordFile("x"), []byte("{"), 0o600))
	_, ok := manager.Running("x")
	assert.False(t, ok)
	assert.ErrorContains(t, manager.Signal("x", syscall.SIGTERM), manager.recordFile("x"))
	names, err := manager.Recorded()
	require.NoError(t, err)
	assert.Equal(t, []string{"x"}, names)
	assert.ErrorContains(t, manager.Signal("y", syscall.SIGTERM), "no such process; there are: x")
}

func TestDigest(t *testing.T) {
	file := filepath.Join(t.TempDir(), "config")
	require.NoError(t, os.WriteFile(file, []byte("one"), 0o600))
	base := Spec{Command: []string{"a", "b"}, Files: []string{file}}
	digest := func(spec Spec) string {
		digest, err := spec.digest()
		require.NoError(t, err)
		return digest
	}
	want := digest(base)
	assert.Equal(t, want, digest(base))
	moved := base
	moved.Enter = []string{"nsenter"}
	assert.Equal(t, want, digest(moved), "how it is entered is no reason to start it again")
	other := base
	other.Command = []string{"a b"}
	assert.NotEqual(t, want, digest(other))
	require.NoError(t, os.WriteFile(file, []byte("two"), 0o600))
	assert.NotEqual(t, want, digest(base), "its configuration has changed")
	require.NoError(t, os.Remove(file))
	_, err := base.digest()
	assert.ErrorContains(t, err, file)
}

func TestTail(t *testing.T) {
	manager := newManager(t)
	assert.Contains(t, manager.Tail("x", 2), "no log")
	require.NoError(t, os.WriteFile(manager.logFile("x"), []byte("1\n2\n3\n"), 0o600))
	assert.Equal(t, "    2\n    3", manager.Tail("x", 2))
}
