package network

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestConflict(t *testing.T) {
	tests := map[string]struct{ routes, want string }{
		"no route":                         {"", ""},
		"others":                           {`[{"dst":"default","dev":"eth0"},{"dst":"10.0.0.0/8","dev":"eth0"},{"dst":"192.168.50.0/24","dev":"eth1"}]`, ""},
		"the same subnet":                  {`[{"dst":"192.168.49.0/24","dev":"br-minikube"}]`, "br-minikube"},
		"a part of it":                     {`[{"dst":"192.168.49.128/25","dev":"eth1"}]`, "eth1"},
		"one address":                      {`[{"dst":"192.168.49.240","dev":"wg0"}]`, "wg0"},
		"a wider one, which is outweighed": {`[{"dst":"192.168.0.0/16","dev":"tun0"}]`, ""},
		"its own":                          {`[{"dst":"192.168.49.0/24","dev":"leg-own"},{"dst":"192.168.49.254","dev":"leg-own"}]`, ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			device, err := conflict([]byte(test.routes), "leg-own")
			require.NoError(t, err)
			assert.Equal(t, test.want, device)
		})
	}
	_, err := conflict([]byte("no JSON"), "")
	assert.Error(t, err)
}

func TestNames(t *testing.T) {
	one, other := New("ft-services"), New(strings.Repeat("x", 30))
	assert.NotEqual(t, one.LegDevice(), other.LegDevice())
	for _, network := range []*Network{one, other} {
		assert.LessOrEqual(t, len(network.LegDevice()), 15, "what the kernel takes")
	}
	assert.NotEqual(t, one.NodeNamespace(), one.ClientNamespace())
}

func TestAddressesAreInTheSubnet(t *testing.T) {
	assert.True(t, Subnet.Contains(Client) && Subnet.Contains(Node) && Subnet.Contains(Leg))
	assert.False(t, Subnet.Overlaps(Services))
}
