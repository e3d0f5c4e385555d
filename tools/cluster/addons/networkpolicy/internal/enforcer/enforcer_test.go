package enforcer_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	clientfake "k8s.io/client-go/kubernetes/fake"
	"sigs.k8s.io/knftables"

	"github.com/ft-services/ft-services/tools/cluster/addons/networkpolicy/internal/enforcer"
	"github.com/ft-services/ft-services/tools/cluster/addons/networkpolicy/internal/rules"
)

var thisNode = rules.Node{Name: "node", Bridge: "cni0"}

func runningPod(name, address string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: name},
		Spec:       corev1.PodSpec{NodeName: thisNode.Name},
		Status:     corev1.PodStatus{Phase: corev1.PodRunning, PodIP: address},
	}
}

// counted is a fake nftables that counts transactions and fails the first ones.
type counted struct {
	*knftables.Fake
	runs, failures atomic.Int32
}

func (c *counted) Run(ctx context.Context, tx *knftables.Transaction) error {
	c.runs.Add(1)
	if c.failures.Add(-1) >= 0 {
		return errors.New("nft is out of sorts")
	}
	return c.Fake.Run(ctx, tx)
}

func (c *counted) knows(address string) bool {
	c.RLock()
	defer c.RUnlock()
	return c.Table != nil && c.Table.Sets["pods"].FindElement(address) != nil
}

func newCounted() *counted {
	return &counted{Fake: knftables.NewFake(rules.Family, rules.Table)}
}

func start(t *testing.T, client kubernetes.Interface, nft knftables.Interface) (stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- enforcer.New(client, nft, thisNode).Run(ctx) }()
	return func() error {
		cancel()
		select {
		case err := <-done:
			return err
		case <-time.After(10 * time.Second):
			return errors.New("it did not end")
		}
	}
}

func TestFollowsTheCluster(t *testing.T) {
	client, nft := clientfake.NewClientset(runningPod("first", "10.244.0.2")), newCounted()
	stop := start(t, client, nft)
	require.Eventually(t, func() bool { return nft.knows("10.244.0.2") }, 2*time.Second, 5*time.Millisecond)

	for _, pod := range []*corev1.Pod{runningPod("second", "10.244.0.3"), runningPod("third", "10.244.0.4")} {
		_, err := client.CoreV1().Pods("a").Create(t.Context(), pod, metav1.CreateOptions{})
		require.NoError(t, err)
	}
	require.Eventually(t, func() bool { return nft.knows("10.244.0.3") && nft.knows("10.244.0.4") }, 2*time.Second, 5*time.Millisecond)
	written := nft.runs.Load()

	annotated := runningPod("second", "10.244.0.3")
	annotated.Annotations = map[string]string{"something": "else"}
	_, err := client.CoreV1().Pods("a").Update(t.Context(), annotated, metav1.UpdateOptions{})
	require.NoError(t, err)
	time.Sleep(300 * time.Millisecond)
	assert.Equal(t, written, nft.runs.Load(), "what changes no rule writes nothing")

	require.NoError(t, client.CoreV1().Pods("a").Delete(t.Context(), "second", metav1.DeleteOptions{}))
	require.Eventually(t, func() bool { return !nft.knows("10.244.0.3") }, 2*time.Second, 5*time.Millisecond)
	require.NoError(t, stop())
	assert.True(t, nft.knows("10.244.0.4"), "the rules outlive the program")
}

func TestRetries(t *testing.T) {
	client, nft := clientfake.NewClientset(runningPod("first", "10.244.0.2")), newCounted()
	// The first table must succeed: without it a start would be open.
	require.NoError(t, nft.Fake.Run(t.Context(), closedTable(nft)))
	nft.failures.Store(1)
	stop := start(t, client, nft)
	require.Eventually(t, func() bool { return nft.knows("10.244.0.2") }, 3*time.Second, 10*time.Millisecond)
	assert.EqualValues(t, 2, nft.runs.Load())
	require.NoError(t, stop())
}

func closedTable(nft knftables.Interface) *knftables.Transaction {
	tx := nft.NewTransaction()
	_ = rules.Build(tx, thisNode, rules.Cluster{})
	return tx
}

func TestAStartThatCannotCloseFails(t *testing.T) {
	nft := newCounted()
	nft.failures.Store(1)
	err := enforcer.New(clientfake.NewClientset(), nft, thisNode).Run(t.Context())
	require.ErrorContains(t, err, "write the nftables table networkpolicy: nft is out of sorts")
}

func TestARestartKeepsTheRulesUntilItKnowsBetter(t *testing.T) {
	nft := newCounted()
	tx := nft.NewTransaction()
	require.NoError(t, rules.Build(tx, thisNode, rules.Cluster{Pods: []*corev1.Pod{runningPod("first", "10.244.0.2")}}))
	require.NoError(t, nft.Run(t.Context(), tx))

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.NoError(t, enforcer.New(clientfake.NewClientset(), nft, thisNode).Run(ctx))
	assert.True(t, nft.knows("10.244.0.2"))
}

func TestCleanup(t *testing.T) {
	nft := newCounted()
	require.NoError(t, nft.Run(t.Context(), closedTable(nft)))
	for range 2 {
		require.NoError(t, enforcer.Cleanup(t.Context(), nft))
		assert.Nil(t, nft.Table)
	}
}

func TestFilterBridges(t *testing.T) {
	settings := t.TempDir()
	v4, v6 := filepath.Join(settings, "bridge-nf-call-iptables"), filepath.Join(settings, "bridge-nf-call-ip6tables")
	require.ErrorContains(t, enforcer.FilterBridges(settings), "load the module br_netfilter")

	require.NoError(t, os.WriteFile(v4, []byte("0\n"), 0o644))
	require.NoError(t, os.WriteFile(v6, []byte("1\n"), 0o444))
	require.NoError(t, enforcer.FilterBridges(settings))
	for _, path := range []string{v4, v6} {
		value, err := os.ReadFile(path)
		require.NoError(t, err)
		assert.Equal(t, byte('1'), value[0], path)
	}
}
