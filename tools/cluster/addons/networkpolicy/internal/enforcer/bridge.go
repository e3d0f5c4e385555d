package enforcer

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// BridgeSettings is where the kernel keeps the switches of bridge netfilter, for each network namespace.
const BridgeSettings = "/proc/sys/net/bridge"

// FilterBridges makes the kernel show packets that cross a bridge to nftables: two pods of a node talk
// over their bridge, and without this no rule would ever see them.
func FilterBridges(settings string) error {
	for _, name := range []string{"bridge-nf-call-iptables", "bridge-nf-call-ip6tables"} {
		path := filepath.Join(settings, name)
		value, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("read %s: %w; the kernel has no bridge netfilter, so no policy between two pods "+
				"of this node could hold: load the module br_netfilter", path, err)
		}
		if err != nil {
			return fmt.Errorf("read %s: %w", path, err)
		}
		if strings.TrimSpace(string(value)) == "1" {
			continue
		}
		if err := os.WriteFile(path, []byte("1"), 0o644); err != nil {
			return fmt.Errorf("write 1 to %s: %w; run as root, in the node's network namespace", path, err)
		}
	}
	return nil
}
