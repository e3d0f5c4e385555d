package cluster

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// tools are the programs that the node needs from the distribution, with the Debian package of each.
var tools = []struct{ program, debian string }{
	{"containerd", "containerd"},
	{"ctr", "containerd"},
	{"runc", "runc"},
	{"etcd", "etcd-server"},
	{"/usr/lib/cni/bridge", "containernetworking-plugins"},
	{"/usr/lib/cni/host-local", "containernetworking-plugins"},
	{"/usr/lib/cni/loopback", "containernetworking-plugins"},
	{"ip", "iproute2"},
	{"iptables", "iptables"},
	{"nft", "nftables"},
	{"conntrack", "conntrack"},
	{"nsenter", "util-linux"},
	{"unshare", "util-linux"},
	{"mount", "mount"},
}

// checkTools names all that is missing at once, with the command that installs it.
func checkTools() error {
	var missing, packages []string
	for _, tool := range tools {
		var err error
		if filepath.IsAbs(tool.program) {
			_, err = os.Stat(tool.program)
		} else {
			_, err = exec.LookPath(tool.program)
		}
		if err != nil {
			missing = append(missing, tool.program)
			packages = append(packages, tool.debian)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	slices.Sort(packages)
	return fmt.Errorf("find the node's programs: missing %s; install them: apt-get install --no-install-recommends %s",
		strings.Join(missing, ", "), strings.Join(slices.Compact(packages), " "))
}

func checkRoot() error {
	if os.Geteuid() != 0 {
		return errors.New("start a node: only root may make namespaces and mounts; run as root")
	}
	return nil
}
