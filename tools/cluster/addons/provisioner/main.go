// Command provisioner makes a directory of the node for every claim. See provisioner --help.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/spf13/pflag"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/klog/v2"
	"sigs.k8s.io/sig-storage-lib-external-provisioner/v13/controller"

	"github.com/ft-services/ft-services/tools/cluster/addons/internal/program"
	"github.com/ft-services/ft-services/tools/cluster/addons/provisioner/internal/hostpath"
)

const about = `Provisions PersistentVolumes as directories of a cluster's one node.

Runs as root on the node and serves every StorageClass whose provisioner is ` + hostpath.Name + `.
A volume is a directory below --root; it is removed with its claim if the class says "Delete". The size
that a claim asks for is not enforced.`

// A claim that failed is tried again after a second, then ever later.
const (
	firstRetry = time.Second
	lastRetry  = time.Minute
)

func main() {
	os.Exit(newProgram().Main(os.Args[1:], os.Stdout, os.Stderr))
}

func newProgram() program.Program {
	var kubeconfig, root string
	flags := pflag.NewFlagSet("provisioner", pflag.ContinueOnError)
	flags.StringVar(&kubeconfig, "kubeconfig", "", "file that says how to reach the API server, and as whom")
	flags.StringVar(&root, "root", "", "directory that holds the volumes; made if it is not there, for root alone")

	return program.Program{
		Name:  "provisioner",
		About: about,
		Flags: flags,
		Check: func() error {
			switch {
			case kubeconfig == "" || root == "":
				return errors.New("--kubeconfig and --root are needed")
			case !filepath.IsAbs(root):
				return fmt.Errorf("--root %q is not an absolute path", root)
			}
			return nil
		},
		Run: func(ctx context.Context) (err error) {
			volumes, err := hostpath.New(root)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, volumes.Close()) }()
			client, err := program.Client(kubeconfig, "provisioner")
			if err != nil {
				return err
			}
			klog.FromContext(ctx).Info("Provisioning volumes", "provisioner", hostpath.Name, "root", root)
			serve(ctx, client, volumes)
			return nil
		},
	}
}

// serve provisions and deletes until ctx is done, and then lets what has begun come to its end: a
// directory that is half removed is worse than a late end.
func serve(ctx context.Context, client kubernetes.Interface, volumes controller.Provisioner) {
	var workers sync.WaitGroup
	ctrl := controller.NewProvisionController(ctx, client, hostpath.Name, volumes,
		controller.LeaderElection(false),
		controller.RateLimiter(workqueue.NewTypedItemExponentialFailureRateLimiter[string](firstRetry, lastRetry)),
	)
	ctrl.ControllerWaitGroup(&workers)
	ctrl.Run(ctx)
	workers.Wait()
}
