// Package load brings built images to where they run.
package load

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"

	"github.com/ft-services/ft-services/tools/images/internal/command"
)

// Image is a built image: its archive and the name in it.
type Image struct {
	Name      string
	Reference string
	Archive   string
}

// Destination is where images are brought.
type Destination interface {
	// Tool is the program that does the work, and Mend what to do when it is missing.
	Tool() (name, mend string)
	// Load brings one image there.
	Load(ctx context.Context, image Image) error
}

// Minikube is a minikube cluster. Its Docker runtime reads the archives as Docker's, its containerd and
// CRI-O as OCI image layouts.
type Minikube struct{ Profile string }

// Tool implements Destination.
func (Minikube) Tool() (string, string) { return "minikube", "install minikube, and start a cluster" }

// Load implements Destination.
func (m Minikube) Load(ctx context.Context, image Image) error {
	return command.Run(ctx, "", nil, "minikube", "--profile", m.Profile, "image", "load", image.Archive)
}

// Containerd is a containerd on this machine.
type Containerd struct{ Address, Namespace string }

// Tool implements Destination.
func (Containerd) Tool() (string, string) { return "ctr", "it comes with containerd" }

// Load implements Destination. The archive says the name, and the import unpacks it for the snapshotter
// in use.
func (c Containerd) Load(ctx context.Context, image Image) error {
	return command.Run(ctx, "", nil, "ctr", "--address", c.Address, "--namespace", c.Namespace, "images", "import", image.Archive)
}

// Docker is the Docker engine of this machine.
type Docker struct{}

// Tool implements Destination.
func (Docker) Tool() (string, string) { return "docker", "install Docker" }

// Load implements Destination.
func (Docker) Load(ctx context.Context, image Image) error {
	return command.Run(ctx, "", nil, "docker", "load", "--input", image.Archive)
}

// Registry is a registry that the user names, with a path if wanted: registry.example.com/ft-services.
// Accounts come from where Docker, Podman and skopeo keep them (skopeo login).
type Registry struct {
	Prefix    string
	PlainHTTP bool
}

// Tool implements Destination.
func (Registry) Tool() (string, string) {
	return "skopeo", "run `make deps`, or install the package skopeo"
}

// Load implements Destination. The image keeps its digest.
func (r Registry) Load(ctx context.Context, image Image) error {
	_, tag, ok := cutTag(image.Reference)
	if !ok {
		return fmt.Errorf("image %s has no tag", image.Reference)
	}
	target := strings.TrimSuffix(r.Prefix, "/") + "/" + image.Name + ":" + tag
	args := []string{"copy", "--preserve-digests"}
	if r.PlainHTTP {
		args = append(args, "--dest-tls-verify=false")
	}
	return command.Run(ctx, "", nil, "skopeo", append(args, "oci-archive:"+image.Archive, "docker://"+target)...)
}

func cutTag(reference string) (repository, tag string, ok bool) {
	i := strings.LastIndexByte(reference, ':')
	if i < 0 || strings.Contains(reference[i:], "/") {
		return reference, "", false
	}
	return reference[:i], reference[i+1:], true
}

// All brings the images to the destination and says so of each. The first failure ends it.
func All(ctx context.Context, to Destination, images []Image, say func(Image)) error {
	tool, mend := to.Tool()
	if _, err := exec.LookPath(tool); err != nil {
		if errors.Is(err, exec.ErrNotFound) {
			return fmt.Errorf("%s is missing: %s", tool, mend)
		}
		return fmt.Errorf("look for %s: %w", tool, err)
	}
	for _, image := range images {
		if err := to.Load(ctx, image); err != nil {
			return fmt.Errorf("load image %s: %w", image.Name, err)
		}
		say(image)
	}
	return nil
}
