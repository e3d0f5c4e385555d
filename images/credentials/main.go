// Command credentials keeps the Secrets of one namespace in existence: it makes what a declaration
// names and the cluster lacks, renews certificates, and changes no password. See credentials --help.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/pflag"
	corev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"

	"github.com/ft-services/ft-services/images/credentials/internal/config"
	"github.com/ft-services/ft-services/images/credentials/internal/reconcile"
)

const (
	exitStopped = 0 // asked to stop, or for help
	exitFailed  = 1
	exitUsage   = 2 // the command line or the declaration is wrong
)

const usage = `Makes the Secrets that a declaration names and the namespace lacks, and renews certificates.
A password that exists is never changed, and no value is ever printed.

Usage:
  credentials --address=ADDRESS --config=FILE [flags]

Flags:
%s
Exit codes:
  0  stopped by SIGTERM or SIGINT
  1  failed
  2  wrong usage or a wrong declaration
`

const (
	namespaceFile = "/var/run/secrets/kubernetes.io/serviceaccount/namespace"
	stopWithin    = 5 * time.Second
)

type options struct {
	address   string
	config    string
	listen    string
	namespace string
	interval  time.Duration
}

// usageError is a mistake that starting again does not cure.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := start(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

func start(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	o, help, err := parse(args)
	if errors.Is(err, pflag.ErrHelp) {
		fmt.Fprint(stdout, help)
		return exitStopped
	}
	if err == nil {
		err = run(ctx, o, slog.New(slog.NewTextHandler(stderr, nil)))
	}
	if err == nil {
		return exitStopped
	}
	fmt.Fprintf(stderr, "credentials: %v\n", err)
	if _, ok := errors.AsType[*usageError](err); ok {
		return exitUsage
	}
	return exitFailed
}

func parse(args []string) (options, string, error) {
	var o options
	flags := pflag.NewFlagSet("credentials", pflag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.SortFlags = false
	flags.StringVar(&o.address, "address", "", "IP `address` that the server certificate is for, besides the services' names")
	flags.StringVar(&o.config, "config", "", "`file` that declares the Secrets")
	flags.StringVar(&o.listen, "listen", ":8080", "`address` of /healthz and /readyz")
	flags.StringVar(&o.namespace, "namespace", "", "`name` of the namespace (default: the pod's own)")
	flags.DurationVar(&o.interval, "interval", 10*time.Second, "time between two looks at the Secrets")
	help := fmt.Sprintf(usage, flags.FlagUsages())
	err := flags.Parse(args)
	switch {
	case errors.Is(err, pflag.ErrHelp):
	case err != nil:
		err = &usageError{err}
	case flags.NArg() > 0:
		err = &usageError{fmt.Errorf("unexpected argument %q", flags.Arg(0))}
	case o.address == "":
		err = &usageError{errors.New("--address is missing")}
	case o.config == "":
		err = &usageError{errors.New("--config is missing")}
	case o.interval <= 0:
		err = &usageError{errors.New("--interval must be positive")}
	}
	return o, help, err
}

func run(ctx context.Context, o options, log *slog.Logger) error {
	address, err := netip.ParseAddr(o.address)
	if err != nil {
		return &usageError{fmt.Errorf("reading --address: %w", err)}
	}
	secrets, err := config.Load(o.config)
	if err != nil {
		return &usageError{err}
	}
	if o.namespace == "" {
		text, err := os.ReadFile(namespaceFile)
		if err != nil {
			return fmt.Errorf("finding the own namespace: %w", err)
		}
		o.namespace = strings.TrimSpace(string(text))
	}
	cluster, err := rest.InClusterConfig()
	if err != nil {
		return fmt.Errorf("configuring the client: %w", err)
	}
	// One pass asks for each Secret, and at first creates it: that must not wait for itself.
	cluster.QPS, cluster.Burst = 20, 4*len(secrets)
	client, err := corev1.NewForConfig(cluster)
	if err != nil {
		return fmt.Errorf("making the client: %w", err)
	}
	listener, err := net.Listen("tcp", o.listen)
	if err != nil {
		return fmt.Errorf("opening the health port: %w", err)
	}

	reconciler := reconcile.New(client.Secrets(o.namespace), reconcile.Options{
		Secrets:   secrets,
		Namespace: o.namespace,
		Address:   address,
		Interval:  o.interval,
		Log:       log,
	})
	log.Info("started", "namespace", o.namespace, "address", address, "secrets", len(secrets))
	return serve(ctx, reconciler, listener, log)
}

// serve makes passes and answers for them until the context ends.
func serve(ctx context.Context, reconciler *reconcile.Reconciler, listener net.Listener, log *slog.Logger) error {
	server := &http.Server{Handler: health(reconciler), ReadHeaderTimeout: stopWithin}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()

	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stopped := make(chan struct{})
	go func() {
		reconciler.Run(ctx)
		close(stopped)
	}()
	select {
	case err := <-served:
		cancel()
		<-stopped
		return fmt.Errorf("serving health: %w", err)
	case <-ctx.Done():
	}
	<-stopped
	stopping, done := context.WithTimeout(context.Background(), stopWithin)
	defer done()
	if err := server.Shutdown(stopping); err != nil {
		return fmt.Errorf("stopping: %w", err)
	}
	log.Info("stopped")
	return nil
}

func health(r *reconcile.Reconciler) http.Handler {
	mux := http.NewServeMux()
	answer := func(check func() error) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			if err := check(); err != nil {
				http.Error(w, err.Error(), http.StatusServiceUnavailable)
				return
			}
			fmt.Fprintln(w, "ok")
		}
	}
	mux.HandleFunc("GET /healthz", answer(r.Alive))
	mux.HandleFunc("GET /readyz", answer(r.Ready))
	return mux
}
