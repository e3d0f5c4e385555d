package pod

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// ProbeKind is one of a container's three probes.
type ProbeKind string

// The probes that a container may have.
const (
	Startup   ProbeKind = "startup"
	Readiness ProbeKind = "readiness"
	Liveness  ProbeKind = "liveness"
)

const (
	probeAgent     = "kube-probe/1.34"
	probeBodyLimit = 10 << 10
	probeEvery     = 200 * time.Millisecond
)

// Probe asks once what a kubelet would ask, within the probe's own timeout. A container without such a
// probe passes.
func (p *Pod) Probe(ctx context.Context, container string, kind ProbeKind) error {
	spec := p.containerSpec(container)
	if spec == nil {
		return fmt.Errorf("pod %s has no container %s", p.config.Workload.Name, container)
	}
	probe := probeOf(spec, kind)
	if probe == nil {
		return nil
	}
	timeout := max(time.Duration(probe.TimeoutSeconds)*time.Second, time.Second)
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var err error
	switch handler := probe.ProbeHandler; {
	case handler.Exec != nil:
		err = p.probeExec(ctx, container, handler.Exec.Command)
	case handler.HTTPGet != nil:
		err = p.probeHTTP(ctx, spec, handler.HTTPGet)
	case handler.TCPSocket != nil:
		err = p.probeTCP(ctx, spec, handler.TCPSocket)
	default:
		err = errors.New("its kind is not supported here")
	}
	if err != nil {
		return fmt.Errorf("%s probe of container %s: %w", kind, container, err)
	}
	return nil
}

func probeOf(spec *corev1.Container, kind ProbeKind) *corev1.Probe {
	switch kind {
	case Startup:
		return spec.StartupProbe
	case Readiness:
		return spec.ReadinessProbe
	default:
		return spec.LivenessProbe
	}
}

func (p *Pod) probeExec(ctx context.Context, container string, argv []string) error {
	out, code, err := p.Exec(ctx, container, argv...)
	if err != nil {
		return err
	}
	if code != 0 {
		return fmt.Errorf("%s ended with code %d: %s", argv[0], code, strings.TrimSpace(out))
	}
	return nil
}

func (p *Pod) probeHTTP(ctx context.Context, spec *corev1.Container, get *corev1.HTTPGetAction) error {
	port, err := portOf(spec, get.Port)
	if err != nil {
		return err
	}
	host := get.Host
	if host == "" {
		host = podAddress
	}
	target, err := url.Parse(get.Path)
	if err != nil {
		return fmt.Errorf("reading its path: %w", err)
	}
	target.Scheme = strings.ToLower(string(get.Scheme))
	if target.Scheme == "" {
		target.Scheme = "http"
	}
	target.Host = net.JoinHostPort(host, fmt.Sprint(port))
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, target.String(), nil)
	if err != nil {
		return err
	}
	request.Header.Set("User-Agent", probeAgent)
	request.Header.Set("Accept", "*/*")
	for _, header := range get.HTTPHeaders {
		request.Header.Add(header.Name, header.Value)
		if http.CanonicalHeaderKey(header.Name) == "Host" {
			request.Host = header.Value
		}
	}
	transport := p.config.Network.Transport()
	transport.TLSClientConfig = &tls.Config{InsecureSkipVerify: true} // as a kubelet does
	client := http.Client{Transport: transport, CheckRedirect: followSameHost}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, probeBodyLimit))
	if err != nil {
		return fmt.Errorf("reading the answer of %s: %w", target, err)
	}
	if response.StatusCode < 200 || response.StatusCode >= 400 {
		return fmt.Errorf("%s answered %s: %.200s", target, response.Status, body)
	}
	return nil
}

// followSameHost stops where a redirect leads away: that is somebody else's answer.
func followSameHost(request *http.Request, via []*http.Request) error {
	if request.URL.Hostname() != via[0].URL.Hostname() {
		return http.ErrUseLastResponse
	}
	if len(via) >= 10 {
		return errors.New("stopped after 10 redirects")
	}
	return nil
}

func (p *Pod) probeTCP(ctx context.Context, spec *corev1.Container, socket *corev1.TCPSocketAction) error {
	port, err := portOf(spec, socket.Port)
	if err != nil {
		return err
	}
	connection, err := p.config.Network.DialContext(ctx, "tcp", net.JoinHostPort(podAddress, fmt.Sprint(port)))
	if err != nil {
		return err
	}
	return connection.Close()
}

func portOf(spec *corev1.Container, port intstr.IntOrString) (int, error) {
	if port.Type == intstr.Int {
		return port.IntValue(), nil
	}
	for _, known := range spec.Ports {
		if known.Name == port.StrVal {
			return int(known.ContainerPort), nil
		}
	}
	return 0, fmt.Errorf("container %s has no port named %s", spec.Name, port.StrVal)
}

// WaitReady waits until the startup and readiness probes of all containers pass.
func (p *Pod) WaitReady(ctx context.Context) error {
	return p.Wait(ctx, Startup, Readiness)
}

// Wait waits until probes of these kinds pass in every container, each no earlier than its initial
// delay after the container's start. It asks more often than a kubelet, and so knows sooner.
func (p *Pod) Wait(ctx context.Context, kinds ...ProbeKind) error {
	for _, name := range p.Containers() {
		for _, kind := range kinds {
			if err := p.waitProbe(ctx, name, kind); err != nil {
				return fmt.Errorf("waiting for pod %s: %w", p.config.Workload.Name, err)
			}
		}
	}
	return nil
}

func (p *Pod) waitProbe(ctx context.Context, name string, kind ProbeKind) error {
	c, err := p.container(name)
	if err != nil {
		return err
	}
	for {
		wait := probeEvery
		c.mu.Lock()
		age := time.Since(c.current.started)
		c.mu.Unlock()
		if probe := probeOf(c.spec, kind); probe != nil {
			delay := time.Duration(probe.InitialDelaySeconds) * time.Second
			if wait = delay - age; wait <= 0 {
				wait = probeEvery
				err = p.Probe(ctx, name, kind)
			} else {
				err = fmt.Errorf("%s probe of container %s: too early to ask", kind, name)
			}
		}
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w; at last: %w", context.Cause(ctx), err)
		case <-time.After(wait):
		}
	}
}
