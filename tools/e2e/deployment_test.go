package e2e

import (
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ft-services/ft-services/tools/e2e/internal/stack"
)

func deploymentChecks() []check {
	return []check{
		{"B6", "what runs is what is in git, for kubectl, Argo CD and Flux", noDrift},
		{"B6 R1", "applying the overlay again changes nothing", applyAgain},
		{"R1", "setting up everything again harms nothing", upAgain},
	}
}

// noDrift compares as kubectl apply does, and as Argo CD and Flux do: by server-side apply.
func noDrift(t *test) {
	for _, how := range [][]string{nil, {"--server-side", "--force-conflicts", "--field-manager=e2e"}} {
		output, err := t.stack.Kubectl(t.Context(), append([]string{"diff", "--kustomize=" + t.stack.Overlay}, how...)...)
		assert.NoError(t, err, "%v\n%s", how, output)
		assert.Empty(t, output, "%v", how)
	}
}

func applyAgain(t *test) {
	output := t.kubectl("apply", "--kustomize="+t.stack.Overlay)
	lines := strings.Split(strings.TrimSpace(output), "\n")
	assert.Greater(t, len(lines), 50)
	for _, line := range lines {
		assert.True(t, strings.HasSuffix(line, " unchanged"), line)
	}
}

func upAgain(t *test) {
	if len(t.stack.Tool) == 0 {
		t.skip("no tools/cluster for this cluster")
	}
	pods := func() []string {
		var seen []string
		for _, pod := range t.allPods() {
			seen = append(seen, string(pod.UID), string(rune('0'+stack.Restarts(&pod))))
		}
		slices.Sort(seen)
		return seen
	}
	tracked := func() string {
		output, err := t.stack.Run(t.Context(), nil, "git", "status", "--porcelain", "--untracked-files=no")
		require.NoError(t, err)
		return output
	}
	podsBefore, trackedBefore := pods(), tracked()
	begun := time.Now()
	output, err := t.stack.Cluster(t.Context(), "up")
	require.NoError(t, err, output)
	t.report.Measure("Start-up", "up again on a running cluster", seconds(time.Since(begun)))
	assert.Equal(t, podsBefore, pods(), "no pod was replaced or restarted")
	assert.Equal(t, trackedBefore, tracked(), "no tracked file was changed")
	assert.Regexp(t, regexp.MustCompile(`nginx\s+`+regexp.QuoteMeta(t.stack.Address.String())), output, "it says where things are")
	assert.Contains(t, output, "get secret wordpress-users", "it says how to get the passwords")
	for name := range map[string]bool{"wordpress-users": true, "grafana-admin": true} {
		for key := range map[string]bool{"olivia": true, "password": true} {
			if value, err := t.stack.Secret(t.Context(), name, key); err == nil {
				assert.False(t, strings.Contains(output, value), "it prints no password")
			}
		}
	}
}
