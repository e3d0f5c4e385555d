package cluster

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
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/ft-services/ft-services/tools/cluster/internal/deploy"
	"github.com/ft-services/ft-services/tools/cluster/internal/network"
	"github.com/ft-services/ft-services/tools/cluster/internal/node"
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
	complete := true
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "PROCESS\tPID\tSINCE\tMEMORY")
	for _, name := range names {
		record, ok := c.processes.Running(name)
		if !ok {
			complete = false
			fmt.Fprintf(table, "%s\t%s\t\t\n", name, "dead")
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
	cmd := c.kubectlCommand(ctx, program, args)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	err = cmd.Run()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		return max(exit.ExitCode(), 1), nil
	}
	return 0, err
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

// Kill ends one of the node's processes at once, as a crash would.
func (c *Cluster) Kill(_ context.Context, name string) error {
	return c.processes.Signal(name, syscall.SIGKILL)
}

// readyWorkloads returns what is Ready now; nothing if the API server does not answer.
func (c *Cluster) readyWorkloads(ctx context.Context, made *products) ([]deploy.Workload, error) {
	if _, ok := c.processes.Running(node.APIServer); !ok || !network.Exists(c.network.ClientNamespace()) {
		return nil, nil
	}
	return c.deployer(made).Ready(ctx)
}
