// Package e2e is the acceptance test of the running stack: every number of the requirements, seen from outside, on
// whatever cluster the kubeconfig points at. `make e2e` runs it.
package e2e

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"

	"github.com/ft-services/ft-services/tools/e2e/internal/report"
	"github.com/ft-services/ft-services/tools/e2e/internal/stack"
	"github.com/ft-services/ft-services/tools/e2e/internal/standin"
)

var (
	// Not the names of flags that go test has itself.
	overlay = flag.String("deployed", "overlays/minikube", "the deployed `overlay`, relative to the repository")
	output  = flag.String("results", "../../out/e2e", "`folder` of the report and the screenshots")
)

// check proves one or more requirements.
type check struct {
	// numbers are those of the requirements, separated by spaces. The test's name begins with them.
	numbers string
	what    string
	run     func(*test)
}

// requirements are all numbers that must be proven.
func requirements() []string {
	var numbers []string
	for group, last := range map[string]int{"B": 6, "R": 14, "G": 12} {
		for number := range last {
			numbers = append(numbers, fmt.Sprint(group, number+1))
		}
	}
	return numbers
}

// checks are in the order in which they run: what only looks comes first, what breaks things later, and the last leave
// everything as new.
func checks() []check {
	return slices.Concat(
		startChecks(),
		objectChecks(),
		webChecks(),
		ftpsChecks(),
		wordpressChecks(),
		phpmyadminChecks(),
		monitoringChecks(),
		networkChecks(),
		failureChecks(),
		persistenceChecks(),
		deploymentChecks(),
		freshChecks(),
	)
}

// test is a check that runs.
type test struct {
	*testing.T
	*bench
	ctx context.Context
}

// Context ends when the check does, before its cleanup functions, or when somebody interrupts the run.
func (t *test) Context() context.Context { return t.ctx }

// bench is what all checks share.
type bench struct {
	stack  *stack.Stack
	report *report.Report
	// folder is where a check may leave files for people; scratch files go into T.TempDir.
	folder string
	image  func() (string, error)
}

func TestAcceptance(t *testing.T) {
	ctx, stop := signal.NotifyContext(t.Context(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	folder, err := filepath.Abs(*output)
	require.NoError(t, err)
	require.NoError(t, os.MkdirAll(folder, 0o755))
	s, err := stack.Connect(ctx, stack.Options{Repository: "../..", Overlay: *overlay, Tool: os.Getenv("CLUSTER")})
	require.NoError(t, err)

	b := &bench{stack: s, report: &report.Report{}, folder: folder}
	var image string
	b.image = func() (string, error) {
		if image == "" {
			image, err = standin.Image(context.WithoutCancel(ctx), s, filepath.Join(s.Repository, "out", "bin", "probe"), folder)
		}
		return image, err
	}
	t.Cleanup(func() { b.writeReport(t) })
	for _, c := range checks() {
		if ctx.Err() != nil {
			t.Fatal("interrupted")
		}
		t.Run(c.numbers+" "+c.what, func(t *testing.T) { b.one(ctx, t, c) })
	}
}

func (b *bench) one(ctx context.Context, t *testing.T, c check) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	begun := time.Now()
	result := report.Result{Numbers: strings.Fields(c.numbers), What: c.what}
	one := &test{T: t, bench: b, ctx: ctx}
	t.Cleanup(func() {
		result.Took, result.Outcome = time.Since(begun), report.Passed
		switch {
		case t.Failed():
			result.Outcome = report.Failed
			b.diagnose(t)
		case t.Skipped():
			result.Outcome, result.Why = report.Skipped, skipReasons[t]
		}
		b.report.Add(result)
	})
	c.run(one)
}

// skipReasons remembers why a test was skipped, since testing does not tell.
var skipReasons = map[*testing.T]string{}

// skip ends a check that cannot be made here. The reason stands in the report.
func (t *test) skip(reason string) {
	skipReasons[t.T] = reason
	t.Skip("skipped: " + reason)
}

// needGrafana skips what needs Grafana itself where its image could not be built.
func (t *test) needGrafana() {
	t.Helper()
	built, err := t.stack.Built(t.Context(), "grafana")
	require.NoError(t, err)
	if !built {
		t.skip("grafana image not built")
	}
}

// running are the services whose images are in the cluster: all, but perhaps Grafana.
func (t *test) running() []string {
	t.Helper()
	running, err := t.stack.Running(t.Context())
	require.NoError(t, err)
	for _, service := range stack.Services {
		if service != "grafana" {
			require.Contains(t, running, service, "its image is not in the cluster")
		}
	}
	return running
}

// kubectl runs kubectl, which must succeed.
func (t *test) kubectl(args ...string) string {
	t.Helper()
	output, err := t.stack.Kubectl(t.Context(), args...)
	require.NoError(t, err)
	return output
}

// exec runs a command as people type it, in a Deployment's default container.
func (t *test) exec(service string, command ...string) (string, error) {
	t.Helper()
	return t.stack.Kubectl(t.Context(), append([]string{"exec", "deploy/" + service, "--"}, command...)...)
}

func (t *test) secret(name, key string) string {
	t.Helper()
	value, err := t.stack.Secret(t.Context(), name, key)
	require.NoError(t, err)
	require.NotEmpty(t, value, "key %s of Secret %s", key, name)
	return value
}

// waitReady waits for services, or for all that can run.
func (t *test) waitReady(bound time.Duration, services ...string) {
	t.Helper()
	require.NoError(t, t.stack.WaitReady(t.Context(), bound, services...))
}

// waitAllReady waits for every pod of the stack, those of no public service too, and returns them; only one whose image
// is not in the cluster is left out.
func (t *test) waitAllReady(bound time.Duration, running []string) []corev1.Pod {
	t.Helper()
	t.waitReady(bound, running...)
	var ready []corev1.Pod
	require.NoError(t, stack.Until(t.Context(), "all pods to be Ready", bound, 500*time.Millisecond, func(ctx context.Context) error {
		pods, err := t.stack.AllPods(ctx)
		if err != nil {
			return err
		}
		ready = nil
		for _, pod := range pods {
			name := pod.Labels[stack.NameLabel]
			if slices.Contains(stack.Services, name) && !slices.Contains(running, name) {
				continue
			}
			if !stack.PodReady(&pod) {
				return fmt.Errorf("pod %s is not Ready", pod.Name)
			}
			ready = append(ready, pod)
		}
		return nil
	}))
	return ready
}

// eventually repeats a condition until nothing in it fails any more.
func (t *test) eventually(bound time.Duration, condition func(c *assert.CollectT), what ...any) {
	t.Helper()
	require.EventuallyWithT(t, condition, bound, 500*time.Millisecond, what...)
}

// standIn makes a pod that stands in for a service until the check ends.
func (t *test) standIn(service string) *standin.Pod {
	t.Helper()
	image, err := t.image()
	require.NoError(t, err)
	pod, err := standin.Start(t.Context(), t.stack, image, service)
	if pod != nil {
		t.Cleanup(func() { assert.NoError(t, pod.Stop(context.Background())) })
	}
	require.NoError(t, err)
	return pod
}

// diagnose prints what the cluster says about itself after a failure.
func (b *bench) diagnose(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	for _, args := range [][]string{
		{"get", "pods", "--output=wide"},
		{"get", "events", "--field-selector=type=Warning", "--sort-by=.lastTimestamp"},
	} {
		output, err := b.stack.Kubectl(ctx, args...)
		lines := strings.Split(strings.TrimSpace(output), "\n")
		lines = lines[max(0, len(lines)-25):]
		t.Logf("kubectl %s (%v)\n%s", strings.Join(args, " "), err, strings.Join(lines, "\n"))
	}
}

func (b *bench) writeReport(t *testing.T) {
	for name, write := range map[string]func(*os.File) error{
		"report.txt": func(file *os.File) error { return b.report.Text(file) },
		"junit.xml":  func(file *os.File) error { return b.report.JUnit(file) },
	} {
		file, err := os.Create(filepath.Join(b.folder, name))
		require.NoError(t, err)
		assert.NoError(t, write(file))
		assert.NoError(t, file.Close())
	}
	assert.NoError(t, b.report.Text(os.Stdout))
}

// TestEveryRequirementIsProven needs no cluster.
func TestEveryRequirementIsProven(t *testing.T) {
	all := requirements()
	proven := map[string]bool{}
	names := map[string]bool{}
	for _, c := range checks() {
		assert.Regexp(t, regexp.MustCompile(`^[BRG]\d+( [BRG]\d+)*$`), c.numbers, c.what)
		assert.False(t, names[c.what], "two checks are called %q", c.what)
		names[c.what] = true
		for _, number := range strings.Fields(c.numbers) {
			assert.Contains(t, all, number, c.what)
			proven[number] = true
		}
	}
	for _, number := range all {
		assert.True(t, proven[number], "no check proves %s", number)
	}
}
