// Package process starts the node's processes so that they outlive the program, and finds them again in a later run.
//
// Each has a record (id, start time and boot: together they never mean another process), a log file, and a cgroup of
// its own that holds its children too.
package process

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/ft-services/ft-services/tools/cluster/internal/cgroup"
)

// Spec describes a process.
type Spec struct {
	// Name is the process's name in records, logs and cgroups.
	Name string
	// Command is the program's path and its arguments.
	Command []string
	// Env is added to the environment.
	Env []string
	// Files are read at start: the process is started again when one of them has changed.
	Files []string
	// Enter is put before the command, to run it in the node's namespaces.
	Enter []string
}

// Record is what is known of a started process.
type Record struct {
	Name      string    `json:"name"`
	PID       int       `json:"pid"`
	StartTime uint64    `json:"startTime"`
	Boot      string    `json:"boot"`
	Digest    string    `json:"digest"`
	Started   time.Time `json:"started"`
}

// Manager starts and stops the processes of one node.
type Manager struct {
	// Records and Logs are folders; both must exist.
	Records, Logs string
	// Cgroups is the node's tree.
	Cgroups *cgroup.Tree

	mu      sync.Mutex
	ensured []string
}

// join moves the shell into the cgroups before it becomes the program: no child can be born outside.
const join = `while [ "$1" != -- ]; do echo $$ >"$1/cgroup.procs" || exit 125; shift; done; shift; exec "$@"`

// Ensure starts a process unless it runs as the spec says. It tells whether it started it.
func (m *Manager) Ensure(ctx context.Context, spec Spec) (started bool, err error) {
	defer func() {
		if err == nil {
			m.mu.Lock()
			m.ensured = append(m.ensured, spec.Name)
			m.mu.Unlock()
		}
	}()
	digest, err := spec.digest()
	if err != nil {
		return false, fmt.Errorf("start %s: %w", spec.Name, err)
	}
	if record, ok := m.Running(spec.Name); ok && record.Digest == digest {
		return false, nil
	}
	if err := m.Stop(ctx, spec.Name, 5*time.Second); err != nil {
		return false, fmt.Errorf("replace %s: %w", spec.Name, err)
	}
	dirs, err := m.Cgroups.Create(spec.Name)
	if err != nil {
		return false, fmt.Errorf("start %s: %w", spec.Name, err)
	}
	path := m.logFile(spec.Name)
	if err := os.Rename(path, path+".1"); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, fmt.Errorf("start %s: %w", spec.Name, err)
	}
	log, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return false, fmt.Errorf("start %s: %w", spec.Name, err)
	}
	defer log.Close()

	args := slices.Concat([]string{"-c", join, "sh"}, dirs, []string{"--"}, spec.Enter, spec.Command)
	// Not CommandContext: the process is to outlive this one.
	cmd := exec.Command("/bin/sh", args...)
	cmd.Dir = "/"
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=/"}, spec.Env...)
	// A session of its own: an interrupt at the terminal is not for it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return false, fmt.Errorf("start %s: %w", spec.Name, err)
	}
	stat, err := readStat(cmd.Process.Pid)
	if err == nil {
		err = m.write(Record{
			Name: spec.Name, PID: cmd.Process.Pid, StartTime: stat.startTime, Boot: boot(), Digest: digest,
			Started: time.Now().UTC().Truncate(time.Second),
		})
	}
	// Reaps it if it ends before this program does.
	go func() { _ = cmd.Wait() }()
	if err != nil {
		return false, errors.Join(fmt.Errorf("record %s: %w", spec.Name, err), m.Stop(ctx, spec.Name, 0))
	}
	return true, nil
}

// Running returns the record of a process that is alive.
func (m *Manager) Running(name string) (Record, bool) {
	record, err := m.read(name)
	if err != nil || record.Boot != boot() {
		return Record{}, false
	}
	stat, err := readStat(record.PID)
	alive := err == nil && stat.startTime == record.StartTime && stat.state != 'Z' && stat.state != 'X'
	return record, alive
}

// Recorded returns the names of all processes that were started and not stopped, alive or not.
func (m *Manager) Recorded() ([]string, error) {
	files, err := filepath.Glob(filepath.Join(m.Records, "*.json"))
	if err != nil {
		return nil, err
	}
	var names []string
	for _, file := range files {
		names = append(names, strings.TrimSuffix(filepath.Base(file), ".json"))
	}
	slices.Sort(names)
	return names, nil
}

// Dead returns an error that names the processes that Ensure has left running and that are no longer alive, with the end
// of their logs.
func (m *Manager) Dead() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	var dead []error
	for _, name := range m.ensured {
		if _, ok := m.Running(name); !ok {
			dead = append(dead, fmt.Errorf("%s has ended; the end of %s:\n%s", name, m.logFile(name), m.Tail(name, 12)))
		}
	}
	return errors.Join(dead...)
}

// Signal sends a signal to a running process itself, not to its children.
func (m *Manager) Signal(name string, signal syscall.Signal) error {
	record, err := m.read(name)
	if errors.Is(err, fs.ErrNotExist) {
		names, _ := m.Recorded()
		return fmt.Errorf("signal %s: no such process; there are: %s", name, strings.Join(names, ", "))
	}
	if err != nil {
		return fmt.Errorf("signal %s: %w", name, err)
	}
	// The handle first, then the check: what is alive then is what the handle is for.
	handle, err := os.FindProcess(record.PID)
	if err != nil {
		return fmt.Errorf("signal %s: %w", name, err)
	}
	defer func() { _ = handle.Release() }()
	if _, ok := m.Running(name); !ok {
		return fmt.Errorf("signal %s: it does not run", name)
	}
	if err := handle.Signal(signal); err != nil {
		return fmt.Errorf("signal %s: %w", name, err)
	}
	return nil
}

// Stop ends a process and its children, recorded or not, and forgets it.
func (m *Manager) Stop(ctx context.Context, name string, grace time.Duration) error {
	m.mu.Lock()
	m.ensured = slices.DeleteFunc(m.ensured, func(other string) bool { return other == name })
	m.mu.Unlock()
	if err := m.Cgroups.Kill(ctx, name, grace); err != nil {
		return fmt.Errorf("stop %s: %w", name, err)
	}
	if err := os.Remove(m.recordFile(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("stop %s: %w", name, err)
	}
	return nil
}

// Tail returns the last lines of a process's log, indented.
func (m *Manager) Tail(name string, lines int) string {
	data, err := os.ReadFile(m.logFile(name))
	if err != nil {
		return "    (no log: " + err.Error() + ")"
	}
	all := strings.Split(strings.TrimRight(string(data), "\n"), "\n")
	if len(all) > lines {
		all = all[len(all)-lines:]
	}
	return "    " + strings.Join(all, "\n    ")
}

func (m *Manager) logFile(name string) string    { return filepath.Join(m.Logs, name+".log") }
func (m *Manager) recordFile(name string) string { return filepath.Join(m.Records, name+".json") }

func (m *Manager) read(name string) (Record, error) {
	var record Record
	data, err := os.ReadFile(m.recordFile(name))
	if err != nil {
		return record, err
	}
	if err := json.Unmarshal(data, &record); err != nil {
		return record, fmt.Errorf("read %s: %w", m.recordFile(name), err)
	}
	return record, nil
}

func (m *Manager) write(record Record) error {
	data, err := json.Marshal(record)
	if err != nil {
		return err
	}
	temporary := m.recordFile(record.Name) + ".new"
	if err := os.WriteFile(temporary, data, 0o600); err != nil {
		return err
	}
	return os.Rename(temporary, m.recordFile(record.Name))
}

// digest stands for all that the process is started with.
func (s Spec) digest() (string, error) {
	hash := sha256.New()
	if err := json.NewEncoder(hash).Encode([][]string{s.Command, s.Env}); err != nil {
		return "", err
	}
	for _, file := range s.Files {
		data, err := os.ReadFile(file)
		if err != nil {
			return "", fmt.Errorf("read its configuration: %w", err)
		}
		fmt.Fprintf(hash, "%s %x\n", file, sha256.Sum256(data))
	}
	return hex.EncodeToString(hash.Sum(nil)), nil
}

type stat struct {
	state     byte
	startTime uint64
}

func readStat(pid int) (stat, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return stat{}, err
	}
	return parseStat(data)
}

// parseStat reads the state (field 3) and the start time (field 22) of /proc/PID/stat. The name, field 2, may hold
// blanks and parentheses, so the count begins behind its last one.
func parseStat(data []byte) (stat, error) {
	end := bytes.LastIndexByte(data, ')')
	fields := strings.Fields(string(data[end+1:]))
	if end < 0 || len(fields) < 20 {
		return stat{}, fmt.Errorf("parse a process's stat: %q", data)
	}
	start, err := strconv.ParseUint(fields[19], 10, 64)
	if err != nil {
		return stat{}, fmt.Errorf("parse a process's start time: %w", err)
	}
	return stat{state: fields[0][0], startTime: start}, nil
}

func boot() string {
	data, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(data))
}
