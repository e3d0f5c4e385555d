// Package cli is the command line: it reads the arguments, picks the kind of cluster, runs the command and says with
// which code to exit.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/ft-services/ft-services/tools/cluster/internal/cluster"
	"github.com/ft-services/ft-services/tools/cluster/internal/minikube"
	"github.com/ft-services/ft-services/tools/cluster/internal/progress"
)

// Exit codes.
const (
	ExitDone   = 0
	ExitFailed = 1
	ExitUsage  = 2
	// ExitInterrupted is what a shell makes of SIGINT.
	ExitInterrupted = 130
)

const usage = `Runs the stack on a real Kubernetes: on this machine itself, without Docker and without a virtual machine, or in
minikube where that is installed.

Usage:
  cluster up [flags]           build what is missing, boot, deploy the overlay, wait until all is Ready
  cluster down                 remove the cluster, its data and all that it left on the machine
  cluster restart              stop the node as if it were switched off, boot it again with the same data
  cluster status               what runs, and how much memory it takes
  cluster load [FILE...]       put image archives into the node; without FILE all of out/images
  cluster kubectl ARGS...      kubectl as the cluster's administrator
  cluster client COMMAND...    a command as on a client's machine: in its network, with a kubectl and its kubeconfig
  cluster logs PROCESS         the log of one of the node's processes
  cluster kill PROCESS         end one of the node's processes as a crash would; up starts it again

An interrupted up leaves what it has started: the next up carries on, down removes it.

Flags (before ARGS):
%s
Exit codes:
  0  done
  1  failed; for status: not everything runs
  2  wrong usage
`

// provider is a kind of cluster.
type provider interface {
	Up(ctx context.Context) error
	Down(ctx context.Context) error
	Restart(ctx context.Context) error
	Status(ctx context.Context, out io.Writer) error
	Load(ctx context.Context, files []string) error
	Kubectl(ctx context.Context, args []string) (code int, err error)
	Client(ctx context.Context, command []string) (code int, err error)
	Logs(ctx context.Context, process string, out io.Writer) error
	Kill(ctx context.Context, process string) error
}

// commands are the numbers of arguments that each command takes; -1: any.
var commands = map[string][2]int{
	"up": {0, 0}, "down": {0, 0}, "restart": {0, 0}, "status": {0, 0}, "load": {0, -1}, "kubectl": {0, -1},
	"client": {1, -1},
	"logs":   {1, 1}, "kill": {1, 1},
}

type options struct {
	name, state, overlay, provider string
	hostAccess, noDeploy           bool
	hostAccessGiven                bool
	command                        string
	args                           []string
}

// parse reads the arguments; pflag.ErrHelp means that help was asked for.
func parse(args []string) (options, string, error) {
	var o options
	flags := pflag.NewFlagSet("cluster", pflag.ContinueOnError)
	flags.SortFlags = false
	flags.SetOutput(io.Discard)
	flags.Usage = func() {}
	// What follows the commands kubectl and client is not this program's.
	flags.SetInterspersed(false)
	flags.StringVar(&o.name, "name", "ft-services", "name of the cluster; two of different names do not meet")
	flags.StringVar(&o.state, "state", "", "folder of the cluster's files (default: out/cluster in the repository)")
	flags.StringVar(&o.provider, "provider", "auto", "local, minikube, or auto: minikube if it is on the PATH")
	flags.StringVar(&o.overlay, "overlay", "overlays/minikube", "up: the overlay to deploy")
	flags.BoolVar(&o.noDeploy, "no-deploy", false, "up: only boot the cluster")
	flags.BoolVar(&o.hostAccess, "host-access", true, "up, restart: give this machine an address in the cluster's network, for a browser and kubectl; a cluster that is there keeps its choice")
	help := fmt.Sprintf(usage, flags.FlagUsagesWrapped(120))

	if err := flags.Parse(args); err != nil {
		return o, help, err
	}
	if flags.NArg() == 0 {
		return o, help, errors.New("which command?")
	}
	o.command = flags.Arg(0)
	limits, ok := commands[o.command]
	if !ok {
		return o, help, fmt.Errorf("unknown command %q", o.command)
	}
	o.args = flags.Args()[1:]
	if o.command != "kubectl" && o.command != "client" {
		flags.SetInterspersed(true)
		if err := flags.Parse(o.args); err != nil {
			return o, help, err
		}
		o.args = flags.Args()
	}
	if len(o.args) < limits[0] {
		return o, help, fmt.Errorf("%s: an argument is missing", o.command)
	}
	if limits[1] >= 0 && len(o.args) > limits[1] {
		return o, help, fmt.Errorf("%s: unexpected argument %q", o.command, o.args[limits[1]])
	}
	for _, name := range []string{"overlay", "no-deploy", "host-access"} {
		// A restarted node keeps, or loses, the machine's leg as it is told.
		if flags.Changed(name) && o.command != "up" && !(o.command == "restart" && name == "host-access") {
			return o, help, fmt.Errorf("%s: --%s is a flag of up", o.command, name)
		}
	}
	o.hostAccessGiven = flags.Changed("host-access")
	if !slices.Contains([]string{"auto", "local", "minikube"}, o.provider) {
		return o, help, fmt.Errorf("--provider %q: use local, minikube or auto", o.provider)
	}
	return o, help, nil
}

// Run runs the program and returns its exit code.
func Run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	o, help, err := parse(args)
	switch {
	case errors.Is(err, pflag.ErrHelp):
		fmt.Fprint(stdout, help)
		return ExitDone
	case err != nil:
		fmt.Fprintf(stderr, "cluster: %v; see cluster --help\n", err)
		return ExitUsage
	}
	code, err := execute(ctx, o, stdout)
	switch {
	case ctx.Err() != nil:
		fmt.Fprintln(stderr, "cluster: interrupted; the next up carries on, down removes what is there")
		return ExitInterrupted
	case err != nil:
		fmt.Fprintf(stderr, "cluster: %v\n", err)
		return ExitFailed
	}
	return code
}

func execute(ctx context.Context, o options, stdout io.Writer) (int, error) {
	repository, err := findRepository()
	if err != nil {
		return 0, err
	}
	chosen, err := choose(o, repository, progress.New(stdout))
	if err != nil {
		return 0, err
	}
	switch o.command {
	case "up":
		return 0, chosen.Up(ctx)
	case "down":
		return 0, chosen.Down(ctx)
	case "restart":
		return 0, chosen.Restart(ctx)
	case "status":
		return 0, chosen.Status(ctx, stdout)
	case "load":
		return 0, chosen.Load(ctx, o.args)
	case "logs":
		return 0, chosen.Logs(ctx, o.args[0], stdout)
	case "kill":
		return 0, chosen.Kill(ctx, o.args[0])
	case "client":
		return chosen.Client(ctx, o.args)
	default:
		return chosen.Kubectl(ctx, o.args)
	}
}

func choose(o options, repository string, log *progress.Log) (provider, error) {
	if o.state == "" {
		o.state = filepath.Join(repository, "out", "cluster")
	}
	var err error
	if o.state, err = filepath.Abs(o.state); err != nil {
		return nil, fmt.Errorf("find the state folder: %w", err)
	}
	overlay := ""
	if !o.noDeploy {
		overlay = o.overlay
		if !filepath.IsAbs(overlay) {
			overlay = filepath.Join(repository, overlay)
		}
	}
	_, err = exec.LookPath("minikube")
	// A local cluster that is there stays the one that is meant, even if minikube was installed since.
	if o.provider == "minikube" || o.provider == "auto" && err == nil && !cluster.Exists(o.name) {
		return minikube.New(minikube.Options{
			Name: o.name, State: o.state, Repository: repository, Overlay: overlay,
		}, log)
	}
	options := cluster.Options{Name: o.name, State: o.state, Repository: repository, Overlay: overlay}
	if o.hostAccessGiven {
		options.HostAccess = &o.hostAccess
	}
	return cluster.New(options, log)
}

// findRepository looks for the repository's root from the current folder upwards.
func findRepository() (string, error) {
	start, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("find the repository: %w", err)
	}
	for folder := start; ; folder = filepath.Dir(folder) {
		data, err := os.ReadFile(filepath.Join(folder, "go.mod"))
		if err == nil && strings.HasPrefix(string(data), "module github.com/ft-services/ft-services\n") {
			return folder, nil
		}
		if folder == filepath.Dir(folder) {
			return "", fmt.Errorf("find the repository: %s is not inside one; change into it", start)
		}
	}
}
