// Package standin puts pods into the cluster that stand in for services: they bear a service's labels, so every
// NetworkPolicy that is for its pods is for them, but they are never Ready, so no Service sends them anything.
package standin

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/ft-services/ft-services/tools/e2e/internal/ask"
	"github.com/ft-services/ft-services/tools/e2e/internal/stack"
)

// label marks everything that this package makes.
const label = "ft-services.e2e"

// Image writes an image with the probe program in it to a file in a folder, and loads it into the cluster's node. It
// returns the image's name, which stands for the program's content.
func Image(ctx context.Context, s *stack.Stack, program, folder string) (string, error) {
	data, err := os.ReadFile(program)
	if err != nil {
		return "", fmt.Errorf("read the probe: %w; `make e2e` builds it", err)
	}
	image := fmt.Sprintf("localhost/ft-services/e2e-probe:%x", sha256.Sum256(data))[:len("localhost/ft-services/e2e-probe:")+12]
	file := filepath.Join(folder, "probe.tar")
	if err := write(file, image, data); err != nil {
		return "", fmt.Errorf("write the probe's image: %w", err)
	}
	if _, err := s.Cluster(ctx, "load", file); err != nil {
		return "", fmt.Errorf("load the probe's image: %w", err)
	}
	return image, nil
}

func write(file, image string, program []byte) error {
	tag, err := name.NewTag(image)
	if err != nil {
		return err
	}
	var files bytes.Buffer
	archive := tar.NewWriter(&files)
	header := &tar.Header{Name: "probe", Mode: 0o755, Size: int64(len(program)), Typeflag: tar.TypeReg, ModTime: time.Unix(0, 0)}
	if err := archive.WriteHeader(header); err != nil {
		return err
	}
	if _, err := archive.Write(program); err != nil {
		return err
	}
	if err := archive.Close(); err != nil {
		return err
	}
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(files.Bytes())), nil })
	if err != nil {
		return err
	}
	built, err := mutate.AppendLayers(empty.Image, layer)
	if err != nil {
		return err
	}
	config, err := built.ConfigFile()
	if err != nil {
		return err
	}
	config = config.DeepCopy()
	config.OS, config.Architecture = "linux", runtime.GOARCH
	if built, err = mutate.ConfigFile(built, config); err != nil {
		return err
	}
	return tarball.WriteToFile(file, tag, built)
}

// Pod is a stand-in.
type Pod struct {
	stack     *stack.Stack
	namespace string
	name      string
}

// Start makes a stand-in for a service and waits until it runs. One that is left from before is replaced.
func Start(ctx context.Context, s *stack.Stack, image, service string) (*Pod, error) {
	return start(ctx, s, image, stack.Namespace, service, map[string]string{stack.NameLabel: service, label: "true"})
}

// StartStranger makes a pod in another namespace, which must exist, that nobody's policies know.
func StartStranger(ctx context.Context, s *stack.Stack, image, namespace string) (*Pod, error) {
	return start(ctx, s, image, namespace, "stranger", map[string]string{label: "true"})
}

func start(ctx context.Context, s *stack.Stack, image, namespace, service string, labels map[string]string) (*Pod, error) {
	p := &Pod{s, namespace, "stand-in-" + service}
	if err := p.Stop(ctx); err != nil {
		return nil, err
	}
	no, yes, user := false, true, int64(10001)
	now := int64(0)
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: p.name, Namespace: namespace, Labels: labels},
		Spec: corev1.PodSpec{
			AutomountServiceAccountToken:  &no,
			EnableServiceLinks:            &no,
			TerminationGracePeriodSeconds: &now,
			// Nobody ever sets this condition.
			ReadinessGates: []corev1.PodReadinessGate{{ConditionType: label + "/never"}},
			SecurityContext: &corev1.PodSecurityContext{
				RunAsNonRoot: &yes, RunAsUser: &user, RunAsGroup: &user,
				SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
			},
			Containers: []corev1.Container{{
				Name: "probe", Image: image, ImagePullPolicy: corev1.PullNever, Command: []string{"/probe", "wait"},
				SecurityContext: &corev1.SecurityContext{
					AllowPrivilegeEscalation: &no, ReadOnlyRootFilesystem: &yes,
					Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
				},
			}},
		},
	}
	if _, err := s.Client.CoreV1().Pods(namespace).Create(ctx, pod, metav1.CreateOptions{}); err != nil {
		return nil, fmt.Errorf("make a stand-in for %s: %w", service, err)
	}
	err := stack.Until(ctx, "the stand-in for "+service+" to run", time.Minute, 300*time.Millisecond, func(ctx context.Context) error {
		pod, err := s.Client.CoreV1().Pods(namespace).Get(ctx, p.name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		if pod.Status.Phase != corev1.PodRunning {
			return fmt.Errorf("it is %s", pod.Status.Phase)
		}
		return nil
	})
	return p, err
}

// Stop removes the stand-in and waits until it is gone.
func (p *Pod) Stop(ctx context.Context) error {
	pods := p.stack.Client.CoreV1().Pods(p.namespace)
	now := int64(0)
	err := pods.Delete(ctx, p.name, metav1.DeleteOptions{GracePeriodSeconds: &now})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("remove %s: %w", p.name, err)
	}
	return stack.Until(ctx, p.name+" to be gone", 30*time.Second, 200*time.Millisecond, func(ctx context.Context) error {
		_, err := pods.Get(ctx, p.name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return nil
		}
		return errors.Join(err, errors.New("it is still there"))
	})
}

// Ask runs a command of the probe in the stand-in and reads its answer.
func (p *Pod) Ask(ctx context.Context, command string, request ask.Request, answer any) error {
	if request.Patience == 0 {
		request.Patience = 10 * time.Second
	}
	line, err := json.Marshal(request)
	if err != nil {
		return fmt.Errorf("ask %s: %w", p.name, err)
	}
	// The account's password goes through stdin; it is in no argument.
	output, err := p.stack.Run(ctx, bytes.NewReader(append(line, '\n')), "kubectl", p.exec(command)...)
	if err != nil {
		return fmt.Errorf("ask %s: %w", p.name, err)
	}
	if err := json.Unmarshal([]byte(output), answer); err != nil {
		return fmt.Errorf("ask %s: read the answer %q: %w", p.name, output, err)
	}
	return nil
}

func (p *Pod) exec(command string) []string {
	return []string{"exec", "--stdin", "--namespace=" + p.namespace, p.name, "--", "/probe", command}
}

// Dial tries to reach targets from the stand-in, and returns for each what came of it.
func (p *Pod) Dial(ctx context.Context, patience time.Duration, targets ...ask.Target) ([]ask.Reached, error) {
	var reached []ask.Reached
	err := p.Ask(ctx, "dial", ask.Request{Targets: targets, Patience: patience}, &reached)
	if err == nil && len(reached) != len(targets) {
		err = fmt.Errorf("ask %s: %d answers to %d questions", p.name, len(reached), len(targets))
	}
	return reached, err
}

// Writer is a command of a stand-in that writes until it is stopped.
type Writer struct {
	stop func() error
	mu   sync.Mutex
	// acknowledged and refused are numbers.
	acknowledged, refused []int
	last                  string
	err                   error
	done                  chan struct{}
}

// Write starts `write-sql` or `write-points` in the stand-in.
func (p *Pod) Write(ctx context.Context, command string, request ask.Request) (*Writer, error) {
	line, err := json.Marshal(request)
	if err != nil {
		return nil, fmt.Errorf("ask %s: %w", p.name, err)
	}
	cmd := exec.CommandContext(ctx, "kubectl", p.exec(command)...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	var stderr strings.Builder
	cmd.Stderr = &stderr
	input, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("start a writer: %w", err)
	}
	output, err := cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("start a writer: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start a writer: %w", err)
	}
	w := &Writer{done: make(chan struct{}), stop: input.Close}
	go func() {
		defer close(w.done)
		w.read(output)
		if err := cmd.Wait(); err != nil {
			w.err = errors.Join(w.err, fmt.Errorf("%w: %s", err, stderr.String()))
		}
	}()
	if _, err := input.Write(append(line, '\n')); err != nil {
		return nil, errors.Join(fmt.Errorf("start a writer: %w", err), input.Close())
	}
	return w, nil
}

func (w *Writer) read(output io.Reader) {
	decoder := json.NewDecoder(output)
	for {
		var written ask.Written
		err := decoder.Decode(&written)
		w.mu.Lock()
		switch {
		case errors.Is(err, io.EOF):
		case err != nil:
			w.err = fmt.Errorf("read what was written: %w", err)
		case written.Error == "":
			w.acknowledged = append(w.acknowledged, written.Number)
		default:
			w.refused, w.last = append(w.refused, written.Number), written.Error
		}
		w.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// Acknowledged returns how many writes were acknowledged so far, how many failed, and the last failure.
func (w *Writer) Acknowledged() (acknowledged, failed int, last string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.acknowledged), len(w.refused), w.last
}

// Stop ends the writer and returns the numbers that were acknowledged.
func (w *Writer) Stop() ([]int, error) {
	err := w.stop()
	select {
	case <-w.done:
	case <-time.After(30 * time.Second):
		return nil, errors.New("stop the writer: it has not ended within 30 s")
	}
	return w.acknowledged, errors.Join(err, w.err)
}
