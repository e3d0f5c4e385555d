//go:build imagetest

package imagetest

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ft-services/ft-services/tools/images/internal/pod"
)

const (
	repository = "../../../.."
	overlay    = repository + "/overlays/minikube"
	logFolder  = repository + "/out/test-images"

	readyWithin = 3 * time.Minute  // from the first init container on
	endWithin   = 30 * time.Second // a process that was told to end, until it is started again
	askWithin   = 30 * time.Second // one use
	pollEvery   = 200 * time.Millisecond
	uid         = "10001"
)

var archives = flag.String("archives", repository+"/out/images", "`folder` of the built images")

// service is a pod, what it needs, and how one sees that it works.
type service struct {
	name     string
	needs    []string // services that must answer in the same network
	optional bool     // its image may not have been built

	// check turns a container's command into some that only read the configuration.
	check checks
	// processes are those that a grader kills, and the containers that end with them.
	processes []process
	// around starts what stands in for other pods.
	around func(*running)
	// use leaves something behind; verify sees that the service works and that it is still there.
	use    func(*running)
	verify func(*running)
}

type process struct{ name, container string }

// checks are by the container's name.
type checks map[string][]func(command []string) []string

// bench is what all tests share.
type bench struct {
	host      *pod.Host
	manifests *pod.Manifests
	store     *store
	making    sync.Mutex // held while the Secrets are made

	mu      sync.Mutex
	results []result
}

type result struct {
	name       string
	ready      time.Duration
	term, kill time.Duration // the slowest of its processes
	stop       time.Duration
}

// running is a pod under test and the network around it.
type running struct {
	*testing.T
	bench   *bench
	service service
	network *pod.Network
	account *pod.ServiceAccount
	claims  map[string]string
	pod     *pod.Pod
}

func TestImages(t *testing.T) {
	b := newBench(t)
	t.Cleanup(b.print)
	for _, s := range services() {
		t.Run(s.name, func(t *testing.T) {
			// The pod that makes the Secrets of all others goes first; these mostly wait.
			if s.name != "credentials" {
				t.Parallel()
			}
			b.exercise(t, s)
		})
	}
}

func newBench(t *testing.T) *bench {
	t.Helper()
	manifests, err := pod.Render(overlay)
	require.NoError(t, err)
	folder, err := filepath.Abs(*archives)
	require.NoError(t, err)
	host, err := pod.NewHost(folder)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, host.Close()) })
	cleanWhenInterrupted(t, host)
	return &bench{host: host, manifests: manifests, store: newStore()}
}

// cleanWhenInterrupted covers the ends of a test at which no cleanup function runs.
func cleanWhenInterrupted(t *testing.T, host *pod.Host) {
	interrupted := make(chan os.Signal, 1)
	signal.Notify(interrupted, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	var late <-chan time.Time
	if deadline, limited := t.Deadline(); limited {
		late = time.After(time.Until(deadline) - 20*time.Second)
	}
	over := make(chan struct{})
	t.Cleanup(func() { close(over) })
	go func() {
		reason := "the time that go test gives (-timeout) is up"
		select {
		case <-over:
			return
		case s := <-interrupted:
			reason = s.String()
		case <-late:
		}
		fmt.Fprintf(os.Stderr, "\n%s: removing containers, mounts and namespaces\n", reason)
		if err := host.Close(); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
		os.Exit(1)
	}()
}

func (b *bench) exercise(t *testing.T, s service) {
	if _, err := os.Stat(filepath.Join(*archives, s.name+".oci.tar")); s.optional && err != nil {
		t.Skipf("%s image not built", s.name)
	}
	if s.name != "credentials" {
		b.makeSecrets(t)
	}
	r := b.surround(t, s)
	require.NoError(t, b.host.Unpack(b.manifests.Workloads[s.name]))
	measured := result{name: s.name}

	began := time.Now()
	r.create()
	r.checkConfiguration()
	r.start()
	measured.ready = time.Since(began)
	r.everyProbe()
	r.checkConfinement()
	if s.use != nil {
		s.use(r)
	}
	s.verify(r)

	for _, p := range s.processes {
		measured.term = max(measured.term, r.killed(p, "-TERM"))
		measured.kill = max(measured.kill, r.killed(p, "-KILL"))
	}

	began = time.Now()
	killed, err := r.pod.Stop(t.Context())
	require.NoError(t, err)
	assert.Empty(t, killed, "containers that did not end on TERM within the grace period")
	measured.stop = time.Since(began)
	r.create()
	r.start()
	s.verify(r)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.results = append(b.results, measured)
}

// surround makes the network and what a pod needs in it.
func (b *bench) surround(t *testing.T, s service) *running {
	network, err := b.host.NewNetwork()
	require.NoError(t, err)
	r := &running{T: t, bench: b, service: s, network: network, claims: map[string]string{}}
	r.account = startAPI(r)
	if s.around != nil {
		s.around(r)
	}
	for _, need := range s.needs {
		beside := &running{T: t, bench: b, service: service{name: need}, network: network, claims: map[string]string{}, account: r.account}
		beside.create()
		beside.start()
	}
	return r
}

// create makes the pod and runs its init containers.
func (r *running) create() {
	r.Helper()
	workload, found := r.bench.manifests.Workloads[r.service.name]
	require.True(r, found, "the overlay has no workload %s", r.service.name)
	for _, volume := range workload.Template.Spec.Volumes {
		if claim := volume.PersistentVolumeClaim; claim != nil && r.claims[claim.ClaimName] == "" {
			directory, err := r.bench.host.NewClaim()
			require.NoError(r, err)
			r.claims[claim.ClaimName] = directory
		}
	}
	logs, err := filepath.Abs(filepath.Join(logFolder, strings.ReplaceAll(r.Name(), "/", "-"), r.service.name))
	require.NoError(r, err)
	if r.pod == nil {
		r.Cleanup(func() { r.showLogs(logs) })
	}
	ctx, cancel := context.WithTimeout(r.Context(), readyWithin)
	defer cancel()
	created, err := r.bench.host.NewPod(ctx, pod.Config{
		Workload:       workload,
		Manifests:      r.bench.manifests,
		Secrets:        r.bench.store.data(),
		Claims:         r.claims,
		ServiceAccount: r.account,
		Network:        r.network,
		Logs:           logs,
	})
	require.NoError(r, err)
	r.pod = created
	r.Cleanup(func() { assert.NoError(r, created.Close()) })
	require.NoError(r, created.Init(ctx))
}

// showLogs prints the ends of a failed test's logs, and removes those of others.
func (r *running) showLogs(folder string) {
	if !r.Failed() {
		assert.NoError(r, os.RemoveAll(folder))
		return
	}
	logs, _ := filepath.Glob(filepath.Join(folder, "*.log"))
	for _, name := range logs {
		text, err := os.ReadFile(name)
		if err == nil && len(text) > 0 {
			lines := strings.Split(strings.TrimRight(string(text), "\n"), "\n")
			r.Logf("the end of %s:\n%s", name, strings.Join(lines[max(0, len(lines)-25):], "\n"))
		}
	}
}

func (r *running) start() {
	r.Helper()
	ctx, cancel := context.WithTimeout(r.Context(), readyWithin)
	defer cancel()
	require.NoError(r, r.pod.Start(ctx))
	ready := make(chan error, 1)
	go func() { ready <- r.pod.WaitReady(ctx) }()
	for {
		for _, name := range r.pod.Containers() {
			restarts, codes := r.pod.Restarts(name)
			require.Zero(r, restarts, "container %s ended before it was ready, with %v", name, codes)
		}
		select {
		case err := <-ready:
			require.NoError(r, err)
			return
		case <-time.After(pollEvery):
		}
	}
}

func (r *running) checkConfiguration() {
	r.Helper()
	for name, changes := range r.service.check {
		for _, change := range changes {
			ctx, cancel := context.WithTimeout(r.Context(), askWithin)
			argv := change(r.pod.Command(name))
			out, code, err := r.pod.Try(ctx, name, argv...)
			cancel()
			require.NoError(r, err)
			require.Zero(r, code, "%s in container %s: %s", strings.Join(argv, " "), name, out)
		}
	}
}

func (r *running) everyProbe() {
	r.Helper()
	ctx, cancel := context.WithTimeout(r.Context(), readyWithin)
	defer cancel()
	require.NoError(r, r.pod.Wait(ctx, pod.Startup, pod.Readiness, pod.Liveness))
}

// checkConfinement sees that nothing more is allowed than the pod says, from inside.
func (r *running) checkConfinement() {
	r.Helper()
	for _, p := range r.service.processes {
		number := strings.TrimSpace(r.exec(p.container, "pgrep", "-x", "-o", p.name))
		assert.NotEqual(r, "1", number, "%s is PID 1: nobody inside can kill it", p.name)
		status := statusFields(r.exec(p.container, "cat", "/proc/"+number+"/status"))
		assert.Equal(r, strings.Fields(strings.Repeat(uid+" ", 4)), strings.Fields(status["Uid"]), "uid of %s", p.name)
		assert.Equal(r, strings.Fields(strings.Repeat(uid+" ", 4)), strings.Fields(status["Gid"]), "gid of %s", p.name)
		for _, set := range []string{"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"} {
			assert.Equal(r, "0000000000000000", status[set], "%s of %s", set, p.name)
		}
		assert.Equal(r, "1", status["NoNewPrivs"], "NoNewPrivs of %s", p.name)
		assert.Equal(r, "2", status["Seccomp"], "Seccomp of %s", p.name)
	}
	for _, name := range r.pod.Containers() {
		for _, file := range []string{"/new", "/etc/new", "/usr/bin/new", "/etc/passwd"} {
			out, code, err := r.pod.Exec(r.Context(), name, "sh", "-c", ": >>"+file)
			require.NoError(r, err)
			assert.NotZero(r, code, "%s can be written to in container %s", file, name)
			if file == "/new" {
				assert.Contains(r, out, "Read-only file system")
			}
		}
		routes := r.exec(name, "cat", "/proc/net/dev")
		assert.Equal(r, 1, strings.Count(routes, ":"), "network interfaces besides lo:\n%s", routes)
	}
}

func statusFields(text string) map[string]string {
	fields := map[string]string{}
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(line, ":")
		fields[name] = strings.TrimSpace(value)
	}
	return fields
}

// killed ends a process as a grader does, waits until the pod works again, and returns how long it took.
func (r *running) killed(p process, signal string) time.Duration {
	r.Helper()
	before := map[string]int{}
	for _, name := range r.pod.Containers() {
		before[name], _ = r.pod.Restarts(name)
	}
	ctx, cancel := context.WithTimeout(r.Context(), readyWithin)
	defer cancel()
	began := time.Now()
	out, code, err := r.pod.Exec(ctx, r.pod.DefaultContainer(), "pkill", signal, "-x", p.name)
	require.NoError(r, err)
	// Whoever kills the container's first process may be gone before pkill says that it did.
	require.Contains(r, []int{0, 128 + int(syscall.SIGKILL), 255}, code, "pkill %s -x %s: %s", signal, p.name, out)
	endCtx, cancelEnd := context.WithTimeout(ctx, endWithin)
	defer cancelEnd()
	require.NoError(r, r.pod.WaitRestart(endCtx, p.container, before[p.container]+1), "after pkill %s -x %s", signal, p.name)
	require.NoError(r, r.pod.WaitReady(ctx), "after pkill %s -x %s", signal, p.name)
	took := time.Since(began)
	require.NoError(r, r.pod.Wait(ctx, pod.Liveness))
	for _, name := range r.pod.Containers() {
		want := before[name]
		if name == p.container {
			want++
		}
		restarts, codes := r.pod.Restarts(name)
		assert.Equal(r, want, restarts, "restarts of container %s after pkill %s -x %s; it had ended with %v", name, signal, p.name, codes)
	}
	r.service.verify(r)
	return took
}

// exec runs a command that must succeed.
func (r *running) exec(container string, argv ...string) string {
	r.Helper()
	ctx, cancel := context.WithTimeout(r.Context(), askWithin)
	defer cancel()
	out, code, err := r.pod.Exec(ctx, container, argv...)
	require.NoError(r, err)
	require.Zero(r, code, "%s: %s", strings.Join(argv, " "), out)
	return out
}

func (b *bench) print() {
	if len(b.results) == 0 {
		return
	}
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	defer table.Flush()
	fmt.Fprintln(table, "image\tready s\tafter TERM s\tafter KILL s\tstop s\t")
	seconds := func(d time.Duration) string { return fmt.Sprintf("%.1f", d.Seconds()) }
	for _, r := range b.results {
		fmt.Fprintln(table, strings.Join([]string{r.name, seconds(r.ready), seconds(r.term), seconds(r.kill), seconds(r.stop)}, "\t")+"\t")
	}
}

func appended(more ...string) func([]string) []string {
	return func(command []string) []string { return append(slices.Clone(command), more...) }
}
