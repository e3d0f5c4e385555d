// Command networkpolicy enforces NetworkPolicies on one node with nftables. See networkpolicy --help.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/pflag"
	"k8s.io/klog/v2"
	"sigs.k8s.io/knftables"

	"github.com/ft-services/ft-services/tools/cluster/addons/internal/program"
	"github.com/ft-services/ft-services/tools/cluster/addons/networkpolicy/internal/enforcer"
	"github.com/ft-services/ft-services/tools/cluster/addons/networkpolicy/internal/rules"
)

const about = `Enforces the NetworkPolicies of networking.k8s.io/v1 for the pods of one node.

Runs as root in the node's network namespace, where the pods hang on a bridge, and needs the program
nft. It writes the table "inet networkpolicy" and nothing else. Start it before the kubelet: from its
first moment on, a pod that it does not know yet can reach nobody. The table stays when the program
ends, so that a restart opens nothing; --cleanup removes it.`

func main() {
	os.Exit(newProgram().Main(os.Args[1:], os.Stdout, os.Stderr))
}

func newProgram() program.Program {
	var kubeconfig string
	var cleanup bool
	var node rules.Node
	flags := pflag.NewFlagSet("networkpolicy", pflag.ContinueOnError)
	flags.StringVar(&kubeconfig, "kubeconfig", "", "file that says how to reach the API server, and as whom")
	flags.StringVar(&node.Name, "node-name", "", "name of this node in the cluster")
	flags.StringVar(&node.Bridge, "bridge", "cni0", "interface that the node's pods are attached to")
	flags.BoolVar(&cleanup, "cleanup", false, "remove the table, and so every restriction, and end")

	return program.Program{
		Name:  "networkpolicy",
		About: about,
		Flags: flags,
		Check: func() error {
			if !cleanup && (kubeconfig == "" || node.Name == "") {
				return errors.New("--kubeconfig and --node-name are needed")
			}
			return checkInterface(node.Bridge)
		},
		Run: func(ctx context.Context) error {
			nft, err := knftables.New(rules.Family, rules.Table)
			if err != nil {
				return fmt.Errorf("use nftables: %w; install the package nftables and run as root", err)
			}
			if cleanup {
				return enforcer.Cleanup(ctx, nft)
			}
			client, err := program.Client(kubeconfig, "networkpolicy")
			if err != nil {
				return err
			}
			if err := enforcer.FilterBridges(enforcer.BridgeSettings); err != nil {
				return err
			}
			klog.FromContext(ctx).Info("Enforcing network policies", "node", node.Name, "bridge", node.Bridge)
			return enforcer.New(client, nft, node).Run(ctx)
		},
	}
}

// checkInterface keeps a name that the kernel could not give to an interface out of the rules.
func checkInterface(name string) error {
	if name == "" || len(name) > 15 {
		return fmt.Errorf("--bridge %q is not the name of an interface", name)
	}
	for _, char := range name {
		switch {
		case char >= 'a' && char <= 'z', char >= 'A' && char <= 'Z', char >= '0' && char <= '9',
			char == '-', char == '_', char == '.':
		default:
			return fmt.Errorf("--bridge %q is not the name of an interface", name)
		}
	}
	return nil
}
