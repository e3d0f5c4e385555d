// Package reference knows under which names an overlay uses the images, so that they are built under
// those and no others.
package reference

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/resmap"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/kustomize/kyaml/yaml"
)

// Reference is an image's full name: registry and path, and a tag <upstream version>-<revision>.
type Reference struct {
	Repository string
	Version    string
	Revision   string
}

// Tag returns <upstream version>-<revision>.
func (r Reference) Tag() string { return r.Version + "-" + r.Revision }

// String returns the name with the tag.
func (r Reference) String() string { return r.Repository + ":" + r.Tag() }

var (
	form     = regexp.MustCompile(`^((?:[a-z0-9._-]+(?::[0-9]+)?/)(?:[a-z0-9._-]+/)*([a-z0-9._-]+)):([0-9][A-Za-z0-9._]*)-([0-9]+)$`)
	upstream = regexp.MustCompile(`^(?:[0-9]+:)?([^+~-]+)`)
)

// Parse reads REGISTRY/PATH/NAME:VERSION-REVISION and returns NAME with it.
func Parse(text string) (string, Reference, error) {
	m := form.FindStringSubmatch(text)
	if m == nil {
		return "", Reference{}, fmt.Errorf("image %q is not REGISTRY/PATH/NAME:<upstream version>-<revision>", text)
	}
	return m[2], Reference{Repository: m[1], Version: m[3], Revision: m[4]}, nil
}

// Upstream returns the upstream version in the version of a Debian package, without epoch, revision and
// what Debian appends (+dfsg, ~rc1).
// Source: Debian Policy, section 5.6.12.
func Upstream(version string) string {
	if m := upstream.FindStringSubmatch(version); m != nil {
		return m[1]
	}
	return version
}

// FromOverlay renders the overlay and returns its images by name.
func FromOverlay(dir string) (map[string]Reference, error) {
	rendered, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), dir)
	if err != nil {
		return nil, fmt.Errorf("render overlay %s: %w", dir, err)
	}
	images, err := collect(rendered)
	if err != nil {
		return nil, fmt.Errorf("read overlay %s: %w", dir, err)
	}
	if len(images) == 0 {
		return nil, fmt.Errorf("overlay %s uses no image", dir)
	}
	found := map[string]Reference{}
	for _, image := range images {
		name, ref, err := Parse(image)
		if err != nil {
			return nil, fmt.Errorf("overlay %s: %w", dir, err)
		}
		if other, ok := found[name]; ok && other != ref {
			return nil, fmt.Errorf("overlay %s uses two images called %s: %s and %s", dir, name, other, ref)
		}
		found[name] = ref
	}
	return found, nil
}

// podSpecs is where objects have a pod's spec: Pods, workloads, CronJobs.
var podSpecs = [][]string{{"spec"}, {"spec", "template", "spec"}, {"spec", "jobTemplate", "spec", "template", "spec"}}

// collect returns every image of every pod template, once.
func collect(rendered resmap.ResMap) ([]string, error) {
	found := map[string]bool{}
	for _, object := range rendered.Resources() {
		for _, spec := range podSpecs {
			for _, list := range []string{"containers", "initContainers"} {
				images, err := object.Pipe(yaml.Lookup(append(slices.Clone(spec), list)...))
				if err != nil || images == nil {
					continue // a field of that name of something else
				}
				elements, err := images.Elements()
				if err != nil {
					return nil, fmt.Errorf("%s: %w", object.CurId(), err)
				}
				for _, container := range elements {
					if image := container.Field("image"); image != nil {
						found[strings.TrimSpace(image.Value.YNode().Value)] = true
					}
				}
			}
		}
	}
	return slices.Sorted(maps.Keys(found)), nil
}
