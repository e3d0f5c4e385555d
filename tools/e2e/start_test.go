package e2e

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/ft-services/ft-services/tools/e2e/internal/stack"
)

func startChecks() []check {
	return []check{
		{"G2", "all pods start without a restart", startedWithoutRestart},
		{"G1", "Deployments are named as people type them, in the current namespace", namesAndNamespace},
		{"B5", "memory at rest", measureMemory},
	}
}

// startedWithoutRestart is about the pods that are there. On a cluster that was just made that is the first start; an
// earlier run of these checks has left fresh pods behind.
func startedWithoutRestart(t *test) {
	running := t.running()
	pods := t.waitAllReady(2*time.Minute, running)
	require.GreaterOrEqual(t, len(pods), len(running)+2, "credentials and telegraf-node too")
	namespace, err := t.stack.Client.CoreV1().Namespaces().Get(t.Context(), stack.Namespace, metav1.GetOptions{})
	require.NoError(t, err)
	first, last := true, namespace.CreationTimestamp.Time
	for _, pod := range pods {
		assert.Zero(t, stack.Restarts(&pod), "restarts of pod %s", pod.Name)
		first = first && pod.CreationTimestamp.Sub(namespace.CreationTimestamp.Time) < time.Minute
		for _, condition := range pod.Status.Conditions {
			if condition.Type == corev1.PodReady && condition.Status == corev1.ConditionTrue && condition.LastTransitionTime.After(last) {
				last = condition.LastTransitionTime.Time
			}
		}
	}
	took := "the pods are not those of the first start"
	if first {
		took = fmt.Sprintf("%.0f s", last.Sub(namespace.CreationTimestamp.Time).Seconds())
	}
	t.report.Measure("Start-up", "namespace made to all Ready", took)
}

func namesAndNamespace(t *test) {
	names := strings.Fields(t.kubectl("get", "deployments", "--output=jsonpath={.items[*].metadata.name}"))
	for _, service := range stack.Services {
		assert.Contains(t, names, service)
	}
	// As typed, without a namespace.
	output, err := t.exec("nginx", "cat", "/proc/1/comm")
	require.NoError(t, err)
	assert.Equal(t, "pause\n", output, "process 1 holds the pod together, and nobody kills it")
}

// summary is what the kubelets tell of the stack's pods: the numbers that they would evict by.
type summary struct {
	PodRef struct{ Name, Namespace string }
	Memory struct{ WorkingSetBytes uint64 }
	Volume []volume
}

// volume belongs to a claim if it has one.
type volume struct {
	PVCRef    *struct{ Name string }
	UsedBytes *uint64
}

func (t *test) summaries() []summary {
	t.Helper()
	nodes, err := t.stack.Client.CoreV1().Nodes().List(t.Context(), metav1.ListOptions{})
	require.NoError(t, err)
	var all []summary
	for _, node := range nodes.Items {
		var one struct{ Pods []summary }
		text := t.kubectl("get", "--raw=/api/v1/nodes/"+node.Name+"/proxy/stats/summary")
		require.NoError(t, json.Unmarshal([]byte(text), &one))
		for _, pod := range one.Pods {
			if pod.PodRef.Namespace == stack.Namespace || pod.PodRef.Namespace == stack.NodeNamespace {
				all = append(all, pod)
			}
		}
	}
	slices.SortFunc(all, func(a, b summary) int { return strings.Compare(a.PodRef.Name, b.PodRef.Name) })
	return all
}

func measureMemory(t *test) {
	const table = "Memory of each pod (working set)"
	sum := uint64(0)
	for _, pod := range t.summaries() {
		// A pod whose image was not built has no container yet.
		if pod.Memory.WorkingSetBytes == 0 {
			continue
		}
		t.report.Measure(table, pod.PodRef.Name, mebibytes(pod.Memory.WorkingSetBytes))
		sum += pod.Memory.WorkingSetBytes
	}
	assert.NotZero(t, sum)
	t.report.Measure(table, "all", mebibytes(sum))
	if len(t.stack.Tool) == 0 {
		return
	}
	// Another kind of cluster does not tell its processes apart.
	output, err := t.stack.Cluster(t.Context(), "status")
	require.NoError(t, err)
	for _, row := range regexp.MustCompile(`(?m)^(\S+)\s+\d+\s+\S+\s+(\d+ MiB)$`).FindAllStringSubmatch(output, -1) {
		t.report.Measure("Memory of the control plane (working set)", row[1], row[2])
	}
}

func mebibytes(bytes uint64) string { return fmt.Sprintf("%.1f MiB", float64(bytes)/(1<<20)) }
