package e2e

import (
	"fmt"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/ft-services/ft-services/tools/e2e/internal/stack"
)

func freshChecks() []check {
	return []check{
		{"G2 G9", "all pods are replaced at once, and start without a restart", replaceAll},
	}
}

// replaceAll is also how these checks leave the cluster: nobody after them finds restarts or back-offs.
func replaceAll(t *test) {
	running := t.running()
	begun := time.Now()
	for _, namespace := range []string{stack.Namespace, stack.NodeNamespace} {
		err := t.stack.Client.CoreV1().Pods(namespace).DeleteCollection(t.Context(), metav1.DeleteOptions{}, metav1.ListOptions{})
		require.NoError(t, err)
	}
	pods := t.waitAllReady(3*time.Minute, running)
	t.report.Measure("Start-up", "all pods replaced at once, to all Ready", seconds(time.Since(begun)))
	for _, pod := range pods {
		assert.Zero(t, stack.Restarts(&pod), "restarts of pod %s", pod.Name)
	}
}

func seconds(took time.Duration) string { return fmt.Sprintf("%.1f s", took.Seconds()) }
