// Package network makes the cluster's little internet: a namespace for the node, one for its clients, and a wire
// between them. Nothing of the node's routes or firewall touches the machine, and nothing in it can reach further.
//
//	machine ──(leg, optional)──┐
//	                           br0 192.168.49.1  client namespace
//	                           └── eth0 192.168.49.2  node namespace
package network

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// The addresses. The subnet is the one that minikube is given, so that one overlay fits both.
var (
	Subnet = netip.MustParsePrefix("192.168.49.0/24")
	Client = netip.MustParseAddr("192.168.49.1")
	Node   = netip.MustParseAddr("192.168.49.2")
	Leg    = netip.MustParseAddr("192.168.49.254")
	// Services are the addresses of the cluster's Services, which kube-proxy turns into those of pods.
	Services = netip.MustParsePrefix("10.96.0.0/16")
)

const namespaces = "/var/run/netns"

// Network is one cluster's network.
type Network struct {
	name string
}

// New returns the network of the cluster with that name. Nothing is created.
func New(name string) *Network {
	return &Network{name: name}
}

// NodeNamespace is the name of the namespace in which the node's processes live.
func (n *Network) NodeNamespace() string { return n.name + "-node" }

// ClientNamespace is the name of the namespace from which the cluster is seen as from another machine.
func (n *Network) ClientNamespace() string { return n.name + "-client" }

// LegDevice is the machine's own interface into the client's network. An interface's name has 15 characters at most,
// so the cluster's name is in it as a hash.
func (n *Network) LegDevice() string {
	return fmt.Sprintf("leg-%x", sha256.Sum256([]byte(n.name)))[:12]
}

// Enter returns the command that runs another one in a namespace. Not `ip netns exec`: that mounts /sys anew, and the
// kubelet then finds no cgroups.
func Enter(namespace string) []string {
	return []string{"nsenter", "--net=" + filepath.Join(namespaces, namespace), "--"}
}

// Exists tells whether a namespace is there: before anything is sent from within one.
func Exists(namespace string) bool {
	var kind syscall.Statfs_t
	err := syscall.Statfs(filepath.Join(namespaces, namespace), &kind)
	// A run that was killed between making the file and mounting the namespace on it leaves a plain file.
	const nsfs = 0x6e736673 // NSFS_MAGIC of linux/magic.h
	return err == nil && int64(kind.Type) == nsfs
}

// Up makes what is missing. With leg, the machine itself gets an address in the client's network.
func (n *Network) Up(ctx context.Context, leg bool) error {
	if err := n.CheckLeg(ctx, leg); err != nil {
		return err
	}
	for _, namespace := range []string{n.NodeNamespace(), n.ClientNamespace()} {
		if !Exists(namespace) {
			if err := removePlainFile(namespace); err != nil {
				return err
			}
			if err := run(ctx, "ip", "netns", "add", namespace); err != nil {
				return fmt.Errorf("create network namespace %s: %w", namespace, err)
			}
		}
	}
	node, client := n.NodeNamespace(), n.ClientNamespace()
	if !exists(ctx, client, "br0") {
		if err := run(ctx, "ip", "-n", client, "link", "add", "br0", "type", "bridge"); err != nil {
			return fmt.Errorf("create the client's bridge: %w", err)
		}
	}
	if !exists(ctx, node, "eth0") {
		if err := run(ctx, "ip", "-n", client, "link", "add", "node", "type", "veth",
			"peer", "name", "eth0", "netns", node); err != nil {
			return fmt.Errorf("connect node and client: %w", err)
		}
	}
	steps := [][]string{
		{"-n", client, "link", "set", "lo", "up"},
		{"-n", client, "addr", "replace", fmt.Sprintf("%s/%d", Client, Subnet.Bits()), "dev", "br0"},
		{"-n", client, "link", "set", "br0", "up"},
		{"-n", client, "link", "set", "node", "master", "br0", "up"},
		{"-n", node, "link", "set", "lo", "up"},
		{"-n", node, "addr", "replace", fmt.Sprintf("%s/%d", Node, Subnet.Bits()), "dev", "eth0"},
		{"-n", node, "link", "set", "eth0", "up"},
		// There is no default route. Without this one, a packet from the node itself to a Service would be refused
		// before kube-proxy's rules could see it.
		{"-n", node, "route", "replace", Services.String(), "dev", "eth0", "src", Node.String()},
	}
	switch here := exists(ctx, "", n.LegDevice()); {
	case leg && !here:
		steps = append(steps, []string{"link", "add", n.LegDevice(), "type", "veth", "peer", "name", "machine", "netns", client})
		fallthrough
	case leg:
		steps = append(steps,
			[]string{"-n", client, "link", "set", "machine", "master", "br0", "up"},
			[]string{"addr", "replace", fmt.Sprintf("%s/%d", Leg, Subnet.Bits()), "dev", n.LegDevice()},
			[]string{"link", "set", n.LegDevice(), "up"})
	case here:
		steps = append(steps, []string{"link", "del", n.LegDevice()})
	}
	for _, step := range steps {
		if err := run(ctx, "ip", step...); err != nil {
			return fmt.Errorf("set up the network: %w", err)
		}
	}
	// /proc/sys/net shows the namespace of who opens it.
	forward := append(Enter(node), "/bin/sh", "-c", "echo 1 >/proc/sys/net/ipv4/ip_forward")
	if err := run(ctx, forward[0], forward[1:]...); err != nil {
		return fmt.Errorf("let the node forward packets: %w", err)
	}
	return nil
}

// CheckLeg refuses a leg on a machine that already knows the subnet: half of its packets would go elsewhere.
func (n *Network) CheckLeg(ctx context.Context, leg bool) error {
	if !leg {
		return nil
	}
	output, err := exec.CommandContext(ctx, "ip", "-json", "-4", "route", "show", "table", "all").Output()
	if err != nil {
		return fmt.Errorf("read the machine's routes: %w", err)
	}
	device, err := conflict(output, n.LegDevice())
	if err != nil {
		return fmt.Errorf("read the machine's routes: %w", err)
	}
	if device != "" {
		return fmt.Errorf("connect the machine to %s: its interface %s has a route there already; end what made it, "+
			"or give --host-access=false and use the cluster from its client namespace only", Subnet, device)
	}
	return nil
}

// conflict returns the device of a route, other than own's, that overlaps the subnet without being a default route.
func conflict(routes []byte, own string) (string, error) {
	var parsed []struct{ Dst, Dev string }
	if len(bytes.TrimSpace(routes)) == 0 {
		return "", nil
	}
	if err := json.Unmarshal(routes, &parsed); err != nil {
		return "", err
	}
	for _, route := range parsed {
		prefix, err := netip.ParsePrefix(route.Dst)
		if err != nil {
			address, err := netip.ParseAddr(route.Dst)
			if err != nil {
				continue
			}
			prefix = netip.PrefixFrom(address, address.BitLen())
		}
		// A wide route (a VPN's 192.168.0.0/16) is less specific than the leg's own, and loses to it.
		if route.Dev != own && prefix.Bits() >= Subnet.Bits() && Subnet.Overlaps(prefix) {
			return route.Dev, nil
		}
	}
	return "", nil
}

// DeleteNode removes the node's namespace with all its routes and rules; the client's stays.
func (n *Network) DeleteNode(ctx context.Context) error {
	if Exists(n.ClientNamespace()) && exists(ctx, n.ClientNamespace(), "node") {
		// The wire goes at once, not when the kernel comes round to the namespace.
		if err := run(ctx, "ip", "-n", n.ClientNamespace(), "link", "del", "node"); err != nil {
			return fmt.Errorf("disconnect the node: %w", err)
		}
	}
	return deleteNamespace(ctx, n.NodeNamespace())
}

// Down removes everything.
func (n *Network) Down(ctx context.Context) error {
	if exists(ctx, "", n.LegDevice()) {
		if err := run(ctx, "ip", "link", "del", n.LegDevice()); err != nil {
			return fmt.Errorf("remove the machine's leg: %w", err)
		}
	}
	if err := n.DeleteNode(ctx); err != nil {
		return err
	}
	return deleteNamespace(ctx, n.ClientNamespace())
}

func deleteNamespace(ctx context.Context, namespace string) error {
	if !Exists(namespace) {
		return removePlainFile(namespace)
	}
	if err := run(ctx, "ip", "netns", "del", namespace); err != nil {
		return fmt.Errorf("remove network namespace %s: %w", namespace, err)
	}
	return nil
}

// removePlainFile removes what stands in the place of a namespace and is none.
func removePlainFile(namespace string) error {
	if err := os.Remove(filepath.Join(namespaces, namespace)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove what is left of network namespace %s: %w", namespace, err)
	}
	return nil
}

// exists tells whether a namespace ("" for the machine's own) has an interface.
func exists(ctx context.Context, namespace, device string) bool {
	args := []string{"link", "show", device}
	if namespace != "" {
		args = append([]string{"-n", namespace}, args...)
	}
	return exec.CommandContext(ctx, "ip", args...).Run() == nil
}

func run(ctx context.Context, name string, args ...string) error {
	output, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, strings.TrimSpace(string(output)))
	}
	return nil
}
