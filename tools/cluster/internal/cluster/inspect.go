package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/ft-services/ft-services/tools/cluster/internal/network"
	"github.com/ft-services/ft-services/tools/cluster/internal/progress"
	"github.com/ft-services/ft-services/tools/cluster/internal/runner"
)

// ErrDown says that a cluster does not run, or not completely.
var ErrDown = errors.New("the cluster does not run completely; `up` starts what is missing")

// Status prints the node's processes. It fails if one that should run does not.
func (c *Cluster) Status(_ context.Context, out io.Writer) error {
	names, err := c.processes.Recorded()
	if err != nil {
		return fmt.Errorf("read the processes' records: %w", err)
	}
	if len(names) == 0 {
		fmt.Fprintf(out, "cluster %s: down\n", c.options.Name)
		return ErrDown
	}
	for _, spec := range c.node(nil).Processes() {
		if !slices.Contains(names, spec.Name) {
			names = append(names, spec.Name)
		}
	}
	complete := true
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "PROCESS\tPID\tSINCE\tMEMORY")
	for _, name := range names {
		record, ok := c.processes.Running(name)
		if !ok {
			complete = false
			fmt.Fprintf(table, "%s\t%s\t\t\n", name, "does not run")
			continue
		}
		memory := ""
		if bytes, ok := c.cgroups.Usage(name); ok {
			memory = fmt.Sprintf("%d MiB", bytes>>20)
		}
		fmt.Fprintf(table, "%s\t%d\t%s\t%s\n", name, record.PID, time.Since(record.Started).Round(time.Second), memory)
	}
	if bytes, ok := c.cgroups.Usage("kubepods"); ok {
		fmt.Fprintf(table, "pods\t\t\t%d MiB\n", bytes>>20)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(out, "\nnode %s, client namespace %s, kubeconfig %s\n", network.Node, c.network.ClientNamespace(), relative(c.Kubeconfig()))
	if !complete {
		return ErrDown
	}
	return nil
}

// Kubectl runs kubectl as the cluster's administrator, from the client's namespace, with this program's input and
// output. It returns kubectl's exit code.
func (c *Cluster) Kubectl(ctx context.Context, args []string) (int, error) {
	if !network.Exists(c.network.ClientNamespace()) {
		return 0, ErrDown
	}
	program, err := c.cachedKubectl(ctx)
	if err != nil {
		return 0, err
	}
	command := append(network.Enter(c.network.ClientNamespace()), program)
	return runner.Run(ctx, append(command, args...), "KUBECONFIG="+c.Kubeconfig())
}

// Client runs a command on the client's side of the network: what it sends to the cluster crosses the wire as from
// another machine. KUBECONFIG and a kubectl on the PATH are the administrator's; CLUSTER is the command that runs this
// program on the cluster from there. It returns the command's exit code.
func (c *Cluster) Client(ctx context.Context, command []string) (int, error) {
	if !network.Exists(c.network.ClientNamespace()) {
		return 0, ErrDown
	}
	kubectl, err := c.cachedKubectl(ctx)
	if err != nil {
		return 0, err
	}
	self, err := os.Executable()
	if err != nil {
		return 0, fmt.Errorf("find this program: %w", err)
	}
	// This process stays in the machine's own network for as long as the command runs.
	back := []string{"nsenter", fmt.Sprintf("--net=/proc/%d/ns/net", os.Getpid()), "--", self,
		"--provider=local", "--name=" + c.options.Name, "--state=" + c.options.State}
	return runner.Run(ctx, append(network.Enter(c.network.ClientNamespace()), command...),
		"KUBECONFIG="+c.Kubeconfig(), "CLUSTER="+strings.Join(back, " "),
		"PATH="+filepath.Dir(kubectl)+string(os.PathListSeparator)+os.Getenv("PATH"))
}

func (c *Cluster) cachedKubectl(ctx context.Context) (string, error) {
	program, err := c.kubernetesProgram()
	if err != nil {
		return "", err
	}
	path, err := c.cache.Program(ctx, program)
	return filepath.Join(filepath.Dir(path), "kubectl"), err
}

// Logs prints the log of one of the node's processes.
func (c *Cluster) Logs(_ context.Context, name string, out io.Writer) error {
	files, err := filepath.Glob(filepath.Join(c.options.State, "logs", "*.log"))
	if err != nil {
		return fmt.Errorf("find logs: %w", err)
	}
	var names []string
	for _, file := range files {
		names = append(names, strings.TrimSuffix(filepath.Base(file), ".log"))
	}
	if !slices.Contains(names, name) {
		return fmt.Errorf("show the log of %q: there is none; there are: %s", name, strings.Join(names, ", "))
	}
	file, err := os.Open(filepath.Join(c.options.State, "logs", name+".log"))
	if err != nil {
		return fmt.Errorf("show the log of %s: %w", name, err)
	}
	defer file.Close()
	_, err = io.Copy(out, file)
	return err
}

// Kill ends one of the node's processes at once, as a crash would, and waits until it is gone.
func (c *Cluster) Kill(ctx context.Context, name string) error {
	if err := c.processes.Signal(name, syscall.SIGKILL); err != nil {
		return err
	}
	return progress.Until(ctx, name+" to end", 10*time.Second, 20*time.Millisecond, func(context.Context) error {
		if record, runs := c.processes.Running(name); runs {
			return fmt.Errorf("process %d is still there", record.PID)
		}
		return nil
	})
}
