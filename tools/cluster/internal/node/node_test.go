package node

import (
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"

	"github.com/ft-services/ft-services/tools/cluster/internal/network"
)

func newNode(t *testing.T) *Node {
	t.Helper()
	node := &Node{Name: "one", State: t.TempDir(), Runtime: t.TempDir(), PauseImage: "localhost/pause:1", Cgroup: "/group/one",
		Programs: map[string]string{}}
	for _, name := range []string{APIServer, ControllerManager, Scheduler, Proxy, Kubelet, NetworkPolicy, Provisioner} {
		node.Programs[name] = "/programs/" + name
	}
	for _, folder := range node.Folders() {
		require.NoError(t, os.MkdirAll(folder, 0o700))
	}
	require.NoError(t, node.Certify())
	files, err := node.Files()
	require.NoError(t, err)
	for path, data := range files {
		require.NoError(t, os.WriteFile(path, data, 0o600))
	}
	return node
}

// Every file that an argument or a kubeconfig names is one that was made.
func TestArgumentsNameFilesThatExist(t *testing.T) {
	node := newNode(t)
	checked := 0
	for _, spec := range node.Processes() {
		for _, argument := range spec.Command[1:] {
			_, value, ok := strings.Cut(argument, "=")
			if ok && strings.HasPrefix(value, node.State+"/pki/") || strings.HasPrefix(value, node.State+"/config/") {
				assert.FileExists(t, value, "%s %s", spec.Name, argument)
				checked++
			}
		}
		for _, file := range spec.Files {
			assert.FileExists(t, file, spec.Name)
		}
	}
	assert.Greater(t, checked, 30)
}

func TestNothingIsLeftOpen(t *testing.T) {
	node := newNode(t)
	for _, spec := range node.Processes() {
		command := strings.Join(spec.Command, " ")
		for _, open := range []string{"AlwaysAllow", "insecure", "token-auth-file", "http://", "anonymous-auth=true"} {
			assert.NotContains(t, command, open, spec.Name)
		}
	}
	files, err := node.Files()
	require.NoError(t, err)
	for path, data := range files {
		for _, open := range []string{"insecure-skip-tls-verify", "AlwaysAllow", "token:"} {
			assert.NotContains(t, string(data), open, path)
		}
	}
	var kubelet struct {
		Authentication struct {
			Anonymous, Webhook struct{ Enabled bool }
			X509               struct{ ClientCAFile string }
		}
		Authorization           struct{ Mode string }
		TLSCertFile, CgroupRoot string
	}
	require.NoError(t, yaml.UnmarshalStrict(files[node.config("kubelet.yaml")], &map[string]any{}))
	require.NoError(t, yaml.Unmarshal(files[node.config("kubelet.yaml")], &kubelet))
	assert.False(t, kubelet.Authentication.Anonymous.Enabled)
	assert.True(t, kubelet.Authentication.Webhook.Enabled)
	assert.Equal(t, "Webhook", kubelet.Authorization.Mode)
	assert.FileExists(t, kubelet.Authentication.X509.ClientCAFile)
	assert.FileExists(t, kubelet.TLSCertFile)
	assert.Equal(t, "/group/one", kubelet.CgroupRoot)
}

func TestEachComponentHasAnIdentityOfItsOwn(t *testing.T) {
	seen := map[string]string{}
	for _, user := range newNode(t).users() {
		assert.Empty(t, seen[user.CommonName], "%s and %s", user.Name, seen[user.CommonName])
		seen[user.CommonName] = user.Name
		if user.Name != Admin {
			assert.NotContains(t, user.Organization, "system:masters", user.Name)
		}
	}
}

func TestShimsOutliveContainerd(t *testing.T) {
	node := newNode(t)
	assert.Contains(t, node.containerdConfig(), fmt.Sprintf("ShimCgroup = %q", "/group/one/shims"))
	assert.NotEqual(t, Containerd, Shims)
}

func TestPodsAreInsideTheClusterRange(t *testing.T) {
	node := newNode(t)
	assert.Contains(t, node.cniConfig(), nodePodCIDR)
	assert.True(t, network.Services.Contains(netip.MustParseAddr(DNS)) && network.Services.Contains(netip.MustParseAddr(firstService)))
	var config map[string]any
	require.NoError(t, yaml.Unmarshal([]byte(node.cniConfig()), &config))
	require.NoError(t, yaml.Unmarshal([]byte(node.proxyConfig()), &config))
}

func TestCheckPaths(t *testing.T) {
	tests := map[string]struct {
		state, want string
	}{
		"usual":     {"/home/me/ft-services/out/cluster", ""},
		"too long":  {"/home/" + strings.Repeat("x", 80), "shorter --state"},
		"hidden":    {"/var/lib/kubelet/mine", "choose another folder"},
		"beside it": {"/var/lib/kubelet-mine", ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			err := (&Node{State: test.state, Runtime: "/run/x"}).CheckPaths()
			if test.want == "" {
				assert.NoError(t, err)
			} else {
				assert.ErrorContains(t, err, test.want)
			}
		})
	}
}

func TestHolderHidesEachFolder(t *testing.T) {
	for _, folder := range Hidden {
		assert.Contains(t, HolderScript(), "tmpfs "+folder+";")
	}
	assert.True(t, strings.HasSuffix(HolderScript(), "; exec sleep infinity"), "only when all is mounted")
	assert.True(t, strings.HasPrefix(HolderScript(), "set -e;"))
}
