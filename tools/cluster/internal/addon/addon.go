// Package addon holds what the cluster runs for itself: permissions of the node's own programs, the storage class and
// CoreDNS. MetalLB's manifests come from its own module.
package addon

import (
	"embed"
	"fmt"
	"path"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"
)

//go:embed manifests/*.yaml
var manifests embed.FS

// Node returns the manifests without which the node's own programs may do nothing.
func Node() []byte { return read("node.yaml") }

// CoreDNS returns the manifests of the cluster's name server.
func CoreDNS() []byte { return read("coredns.yaml") }

func read(name string) []byte {
	data, err := manifests.ReadFile(path.Join("manifests", name))
	if err != nil {
		// The file is compiled in.
		panic(err)
	}
	return data
}

// Documents returns the objects of a stream of YAML documents.
func Documents(stream []byte) ([]map[string]any, error) {
	var objects []map[string]any
	for index, text := range strings.Split("\n"+string(stream), "\n---\n") {
		var object map[string]any
		if err := yaml.Unmarshal([]byte(text), &object); err != nil {
			return nil, fmt.Errorf("parse document %d: %w", index+1, err)
		}
		if len(object) > 0 {
			objects = append(objects, object)
		}
	}
	return objects, nil
}

// Images returns the images of all containers in a stream of manifests, sorted.
func Images(stream []byte) ([]string, error) {
	objects, err := Documents(stream)
	if err != nil {
		return nil, err
	}
	var images []string
	for _, object := range objects {
		images = append(images, PodImages(object)...)
	}
	slices.Sort(images)
	return slices.Compact(images), nil
}

// PodImages returns the images of a workload's containers.
func PodImages(workload map[string]any) []string {
	spec, _ := workload["spec"].(map[string]any)
	template, _ := spec["template"].(map[string]any)
	pod, _ := template["spec"].(map[string]any)
	var images []string
	for _, key := range []string{"initContainers", "containers"} {
		containers, _ := pod[key].([]any)
		for _, container := range containers {
			if fields, ok := container.(map[string]any); ok {
				if image, ok := fields["image"].(string); ok && !slices.Contains(images, image) {
					images = append(images, image)
				}
			}
		}
	}
	return images
}
