//go:build clustertest

package main_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// machine is a cluster of a name of its own on this machine, and the program that runs it.
type machine struct {
	*testing.T
	ctx                  context.Context
	program, name, state string
}

// Context ends when somebody interrupts the test: what is running fails, and the cluster is taken down.
func (m *machine) Context() context.Context { return m.ctx }

// TestLifecycle boots real clusters: as root, on a machine where `make deps` has run. Clusters of other names are not
// touched.
func TestLifecycle(t *testing.T) {
	require.Zero(t, os.Geteuid(), "run it as root")
	folder := t.TempDir()
	program := filepath.Join(folder, "cluster")
	output, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, ".").CombinedOutput()
	require.NoError(t, err, string(output))
	// Folders that the node mounts over may be there already, from other programs.
	before := existing(hidden)

	ctx, stop := signal.NotifyContext(t.Context(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// A folder that `make down-lifecycle` knows, for when even that does not happen.
	state, err := filepath.Abs("../../out/lifecycle")
	require.NoError(t, err)
	m := &machine{T: t, ctx: ctx, program: program, name: "lifecycle", state: state}
	t.Cleanup(func() { _, _ = exec.Command(program, m.args("down")...).CombinedOutput() })
	for _, step := range []struct {
		name string
		run  func(*machine)
	}{
		{"down before anything is there", (*machine).leavesNothing},
		{"up boots", (*machine).boots},
		{"up again changes nothing", (*machine).upAgain},
		{"up starts again what was killed", (*machine).killed},
		{"a restart keeps the data", (*machine).restarted},
		{"a killed up is carried on", (*machine).upKilled},
		{"down removes a cluster that crashed", (*machine).crashed},
		{"down removes what an interrupted up has left", (*machine).interrupted},
	} {
		if !t.Run(step.name, func(t *testing.T) {
			one := *m
			one.T = t
			step.run(&one)
		}) {
			t.FailNow()
		}
	}
	assert.Equal(t, before, existing(hidden), "folders of the machine")
}

// hidden are the folders of the machine over which the node mounts its own.
var hidden = []string{"/var/lib/kubelet", "/var/lib/cni", "/var/log/containers", "/run/containerd"}

func existing(folders []string) []string {
	var found []string
	for _, folder := range folders {
		if _, err := os.Stat(folder); err == nil {
			found = append(found, folder)
		}
	}
	return found
}

func (m *machine) args(args ...string) []string {
	return append([]string{"--provider=local", "--name=" + m.name, "--state=" + m.state}, args...)
}

// run runs the program and returns its exit code and all that it prints.
func (m *machine) run(args ...string) (int, string) {
	m.Helper()
	output, err := exec.CommandContext(m.Context(), m.program, m.args(args...)...).CombinedOutput()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		return exit.ExitCode(), string(output)
	}
	require.NoError(m, err)
	return 0, string(output)
}

func (m *machine) succeeds(args ...string) string {
	m.Helper()
	code, output := m.run(args...)
	require.Zero(m, code, "cluster %s:\n%s", strings.Join(args, " "), output)
	return output
}

func (m *machine) up() string {
	m.Helper()
	return m.succeeds("up", "--no-deploy", "--host-access=false")
}

var row = regexp.MustCompile(`(?m)^(\S+)\s+(\d+)\s+\S+\s+\d+ MiB$`)

// processes are the ids of the node's processes by name.
func (m *machine) processes() map[string]string {
	m.Helper()
	found := map[string]string{}
	for _, one := range row.FindAllStringSubmatch(m.succeeds("status"), -1) {
		found[one[1]] = one[2]
	}
	require.GreaterOrEqual(m, len(found), 10)
	return found
}

// leavesNothing runs down and looks for everything that a cluster makes.
func (m *machine) leavesNothing() {
	m.succeeds("down")
	code, output := m.run("status")
	assert.Equal(m, 1, code, output)
	code, output = m.run("restart")
	assert.Equal(m, 1, code)
	assert.Contains(m, output, "there is none; run `up` first")
	assert.NoFileExists(m, m.state)
	assert.NoFileExists(m, "/run/ft-services-cluster/"+m.name)
	for _, pattern := range []string{"/run/netns/" + m.name + "-*", "/sys/fs/cgroup/*/ft-services-cluster/" + m.name, "/sys/fs/cgroup/ft-services-cluster/" + m.name} {
		left, err := filepath.Glob(pattern)
		require.NoError(m, err)
		assert.Empty(m, left)
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	require.NoError(m, err)
	assert.NotContains(m, string(mounts), m.state)
	assert.NotContains(m, string(mounts), "ft-services-cluster/"+m.name)
	processes, err := filepath.Glob("/proc/[0-9]*/cmdline")
	require.NoError(m, err)
	for _, file := range processes {
		// One that has ended meanwhile is no concern.
		command, _ := os.ReadFile(file)
		if bytes.Contains(command, []byte(m.state)) {
			assert.Fail(m, "a process is left", "%s: %s", file, bytes.ReplaceAll(command, []byte{0}, []byte{' '}))
		}
	}
}

func (m *machine) boots() {
	output := m.up()
	assert.Regexp(m, regexp.MustCompile(`(?m)^ +\d+\.\ds  node lifecycle is Ready$`), output)
	assert.Contains(m, m.succeeds("kubectl", "get", "nodes"), " Ready ")
	code, output := m.run("kubectl", "get", "nonsense")
	assert.Equal(m, 1, code, "kubectl's own exit code: %s", output)
	code, _ = m.run("client", "sh", "-c", "exit 7")
	assert.Equal(m, 7, code, "the command's own exit code")
	assert.Contains(m, m.succeeds("client", "ip", "-brief", "address"), "192.168.49.1/24")
	assert.NotEmpty(m, m.succeeds("logs", "kubelet"))
	code, output = m.run("logs", "nobody")
	assert.Equal(m, 1, code)
	assert.Contains(m, output, "there are: ", "it says which logs there are")
	code, output = m.run("load", "/nowhere.tar")
	assert.Equal(m, 1, code)
	assert.Contains(m, output, "/nowhere.tar")
}

func (m *machine) upAgain() {
	before := m.processes()
	m.up()
	assert.Equal(m, before, m.processes())
}

func (m *machine) killed() {
	for name := range m.processes() {
		before := m.processes()
		m.succeeds("kill", name)
		code, _ := m.run("status")
		assert.Equal(m, 1, code, "status after %s was killed", name)
		m.up()
		after := m.processes()
		assert.NotEqual(m, before[name], after[name], "%s is a new process", name)
		delete(before, name)
		for other, id := range before {
			assert.Equal(m, id, after[other], "%s runs on when %s is killed", other, name)
		}
		assert.Contains(m, m.succeeds("kubectl", "get", "nodes"), " Ready ")
	}
	for range 2 {
		m.succeeds("kill", "kube-apiserver")
		m.succeeds("kill", "kube-proxy")
		m.up()
		m.serviceAnswers()
	}
}

// serviceAnswers asks the API server at its Service's address, as pods do.
func (m *machine) serviceAnswers() {
	m.Helper()
	require.EventuallyWithT(m, func(c *assert.CollectT) {
		output, err := exec.CommandContext(m.Context(), "nsenter", "--net=/run/netns/"+m.name+"-node",
			"curl", "--silent", "--show-error", "--max-time", "3", "--cacert", filepath.Join(m.state, "pki", "ca.crt"),
			"https://10.96.0.1/readyz").CombinedOutput()
		assert.NoError(c, err, string(output))
	}, 20*time.Second, 500*time.Millisecond)
}

func (m *machine) restarted() {
	m.succeeds("kubectl", "create", "configmap", "kept", "--namespace=default", "--from-literal=word=kept")
	before := m.processes()
	machineLegs := legs(m.T)
	// That the machine gets no leg was said when the cluster was made.
	m.succeeds("restart")
	m.succeeds("up", "--no-deploy")
	assert.Equal(m, machineLegs, legs(m.T), "legs into any cluster's network")
	for name, id := range m.processes() {
		assert.NotEqual(m, before[name], id, "%s is a new process", name)
	}
	m.serviceAnswers()
	assert.Contains(m, m.succeeds("kubectl", "get", "configmap", "kept", "--namespace=default", "--output=yaml"), "word: kept")
}

// legs counts the machine's own addresses in the network of clusters.
func legs(t *testing.T) int {
	t.Helper()
	output, err := exec.CommandContext(t.Context(), "ip", "-4", "-brief", "address").CombinedOutput()
	require.NoError(t, err, string(output))
	return strings.Count(string(output), "192.168.49.254")
}

// startUp starts up in a group of its own and returns once it has said something, or the time is over.
func (m *machine) startUp(until string, after time.Duration) *exec.Cmd {
	m.Helper()
	cmd := exec.Command(m.program, m.args("up", "--no-deploy", "--host-access=false")...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	file, err := os.Create(filepath.Join(m.TempDir(), "up.log"))
	require.NoError(m, err)
	defer file.Close()
	cmd.Stdout, cmd.Stderr = file, file
	require.NoError(m, cmd.Start())
	require.Eventually(m, func() bool {
		said, err := os.ReadFile(file.Name())
		return err == nil && strings.Contains(string(said), until)
	}, 90*time.Second, 20*time.Millisecond, "up says %q", until)
	time.Sleep(after)
	return cmd
}

func (m *machine) upKilled() {
	for _, until := range []string{"started mounts", "started etcd", "started kubelet"} {
		m.succeeds("down")
		cmd := m.startUp(until, 100*time.Millisecond)
		require.NoError(m, syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL))
		require.Error(m, cmd.Wait())
		if until != "started kubelet" { // which is the last
			code, output := m.run("status")
			assert.Equal(m, 1, code, "half booted is not booted: %s", output)
		}
		m.up()
		assert.Contains(m, m.succeeds("kubectl", "get", "nodes"), " Ready ", "killed after %q", until)
	}
}

func (m *machine) crashed() {
	for name, id := range m.processes() {
		var pid int
		_, err := fmt.Sscan(id, &pid)
		require.NoError(m, err)
		require.NoError(m, syscall.Kill(pid, syscall.SIGKILL), name)
	}
	m.leavesNothing()
}

func (m *machine) interrupted() {
	cmd := m.startUp("started kube-apiserver", 0)
	require.NoError(m, cmd.Process.Signal(syscall.SIGINT))
	var exit *exec.ExitError
	require.ErrorAs(m, cmd.Wait(), &exit)
	assert.Equal(m, 130, exit.ExitCode())
	m.leavesNothing()
}
