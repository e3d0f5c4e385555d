// Package enforcer keeps the node's nftables table in step with the cluster's NetworkPolicies.
package enforcer

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"
	"sigs.k8s.io/knftables"

	"github.com/ft-services/ft-services/tools/cluster/addons/networkpolicy/internal/rules"
)

const (
	// settle collects the changes of a moment into one transaction.
	settle = 100 * time.Millisecond
	// retry is the pause after nft has failed.
	retry = time.Second
	// repair is how long a change made by somebody else to the table can last.
	repair = time.Minute
)

// Enforcer writes the rules of one node.
type Enforcer struct {
	client  kubernetes.Interface
	nft     knftables.Interface
	node    rules.Node
	written string
}

// New returns an Enforcer that reads the cluster through client and writes through nft.
func New(client kubernetes.Interface, nft knftables.Interface, node rules.Node) *Enforcer {
	return &Enforcer{client: client, nft: nft, node: node}
}

// Run enforces until ctx is done. The rules stay when it returns: a restart opens nothing.
func (e *Enforcer) Run(ctx context.Context) error {
	if err := e.closeUnlessWritten(ctx); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}

	factory := informers.NewSharedInformerFactoryWithOptions(e.client, 0, informers.WithTransform(trim))
	pods := factory.Core().V1().Pods()
	namespaces := factory.Core().V1().Namespaces()
	policies := factory.Networking().V1().NetworkPolicies()

	changed := make(chan struct{}, 1)
	notify := func() {
		select {
		case changed <- struct{}{}:
		default:
		}
	}
	for name, informer := range map[string]cache.SharedIndexInformer{
		"pods": pods.Informer(), "namespaces": namespaces.Informer(), "networkpolicies": policies.Informer(),
	} {
		if _, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
			AddFunc:    func(any) { notify() },
			UpdateFunc: func(any, any) { notify() },
			DeleteFunc: func(any) { notify() },
		}); err != nil {
			return fmt.Errorf("watch %s: %w", name, err)
		}
	}
	factory.Start(ctx.Done())
	defer factory.Shutdown()
	for kind, synced := range factory.WaitForCacheSync(ctx.Done()) {
		if !synced {
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("list %v: stopped before all was read", kind)
		}
	}

	state := func() (rules.Cluster, error) {
		var cluster rules.Cluster
		var podsErr, namespacesErr, policiesErr error
		cluster.Pods, podsErr = pods.Lister().List(labels.Everything())
		cluster.Namespaces, namespacesErr = namespaces.Lister().List(labels.Everything())
		cluster.Policies, policiesErr = policies.Lister().List(labels.Everything())
		return cluster, errors.Join(podsErr, namespacesErr, policiesErr)
	}
	return e.loop(ctx, changed, state)
}

// loop writes once, and again after every change, failure and repair interval.
func (e *Enforcer) loop(ctx context.Context, changed <-chan struct{}, state func() (rules.Cluster, error)) error {
	logger := klog.FromContext(ctx)
	timer := time.NewTimer(0)
	defer timer.Stop()
	var forced time.Time
	failed := false
	for {
		wait := repair
		// Also where changes never cease.
		force := failed || time.Since(forced) >= repair
		cluster, err := state()
		if err == nil {
			err = e.write(ctx, cluster, force)
		}
		if failed = err != nil; force && !failed {
			forced = time.Now()
		}
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			logger.Error(err, "The rules were not written, the former ones still hold", "retryIn", retry)
			wait = retry
		}
		timer.Reset(wait)
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		case <-changed:
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(settle):
			}
		}
	}
}

// write replaces the table if the rules differ from the last ones, or if forced.
func (e *Enforcer) write(ctx context.Context, cluster rules.Cluster, force bool) error {
	logger := klog.FromContext(ctx)
	tx := e.nft.NewTransaction()
	problems := rules.Build(tx, e.node, cluster)
	text := tx.String()
	if text == e.written && !force {
		return nil
	}
	start := time.Now()
	if err := e.nft.Run(ctx, tx); err != nil {
		return fmt.Errorf("write the nftables table %s: %w", rules.Table, err)
	}
	if text == e.written {
		return nil
	}
	e.written = text
	if problems != nil {
		logger.Error(problems, "A policy allows less than it says")
	}
	logger.Info("Wrote the rules", "pods", len(cluster.Pods), "policies", len(cluster.Policies),
		"operations", tx.NumOperations(), "took", time.Since(start).Round(time.Millisecond))
	return nil
}

// closeUnlessWritten makes a first start closed: until the cluster is known, every pod is unknown. The
// rules of a former run are left as they are, since they are nearer to the truth.
func (e *Enforcer) closeUnlessWritten(ctx context.Context) error {
	chains, err := e.nft.List(ctx, "chain")
	if err == nil && len(chains) > 0 {
		return nil
	}
	if err != nil && !knftables.IsNotFound(err) {
		return fmt.Errorf("look for the nftables table %s: %w", rules.Table, err)
	}
	return e.write(ctx, rules.Cluster{}, true)
}

// Cleanup removes the table, and with it every restriction.
func Cleanup(ctx context.Context, nft knftables.Interface) error {
	tx := nft.NewTransaction()
	rules.Remove(tx)
	if err := nft.Run(ctx, tx); err != nil {
		return fmt.Errorf("remove the nftables table %s: %w", rules.Table, err)
	}
	return nil
}

// trim drops what the rules never look at: pods are most of what the caches hold.
func trim(object any) (any, error) {
	switch o := object.(type) {
	case *corev1.Pod:
		o.ManagedFields, o.Annotations = nil, nil
		o.Spec.Volumes = nil
	case *corev1.Namespace:
		o.ManagedFields = nil
	case *networkingv1.NetworkPolicy:
		o.ManagedFields = nil
	}
	return object, nil
}
