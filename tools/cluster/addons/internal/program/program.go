// Package program is what the node's controllers share: the command line, the connection to the
// cluster, the log and the way they end.
package program

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/signal"
	"syscall"

	"github.com/spf13/pflag"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"
)

// Exit codes.
const (
	ExitDone   = 0 // the work is done, or SIGINT or SIGTERM ended it
	ExitFailed = 1 // the program could not do its work
	ExitUsage  = 2 // the command line is wrong
)

// Program is a controller that runs until a signal ends it.
type Program struct {
	// Name is how the program is called.
	Name string
	// About says in a few lines what it does, for --help.
	About string
	// Flags are the program's own; --help is added.
	Flags *pflag.FlagSet
	// Check looks for mistakes that the flags' types do not show; it may be nil.
	Check func() error
	// Run does the work until ctx is done.
	Run func(ctx context.Context) error
}

// Main runs p and returns the exit code.
func (p Program) Main(args []string, stdout, stderr io.Writer) int {
	p.Flags.SortFlags = false
	p.Flags.SetOutput(io.Discard)
	p.Flags.Usage = func() {}
	err := p.Flags.Parse(args)
	if errors.Is(err, pflag.ErrHelp) {
		fmt.Fprintf(stdout, "%s\n\nUsage:\n  %s [flags]\n\nFlags:\n%s", p.About, p.Name, p.Flags.FlagUsages())
		return ExitDone
	}
	if err == nil && p.Flags.NArg() > 0 {
		err = fmt.Errorf("unexpected argument %q", p.Flags.Arg(0))
	}
	if err == nil && p.Check != nil {
		err = p.Check()
	}
	if err != nil {
		fmt.Fprintf(stderr, "%s: %v; see %s --help\n", p.Name, err, p.Name)
		return ExitUsage
	}

	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	defer klog.Flush()
	logger := klog.Background().WithName(p.Name)
	if err := p.Run(klog.NewContext(ctx, logger)); err != nil {
		fmt.Fprintf(stderr, "%s: %v\n", p.Name, err)
		return ExitFailed
	}
	if ctx.Err() != nil {
		logger.Info("Ended by a signal")
	}
	return ExitDone
}

// Client connects to the cluster of a kubeconfig file. agent is the name that the API server logs.
func Client(kubeconfig, agent string) (kubernetes.Interface, error) {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("read the kubeconfig %s: %w", kubeconfig, err)
	}
	config.UserAgent = agent
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("make a client from the kubeconfig %s: %w", kubeconfig, err)
	}
	return client, nil
}
