package pki

import (
	"fmt"
	"os"

	"sigs.k8s.io/yaml"
)

// KubeconfigOptions are what differs between a component's kubeconfig and a person's.
type KubeconfigOptions struct {
	// Namespace is the current one.
	Namespace string
	// Cluster is the name of cluster and context.
	Cluster string
	// Embed puts keys and certificates into the file, so that it can be copied.
	Embed bool
}

// Kubeconfig returns a kubeconfig with which the bearer of a certificate reaches a server.
func (s *Store) Kubeconfig(server, authority, user string, options KubeconfigOptions) ([]byte, error) {
	cluster := map[string]any{"server": server}
	identity := map[string]any{}
	for _, entry := range []struct {
		into map[string]any
		key  string
		path string
	}{
		{cluster, "certificate-authority", s.Certificate(authority)},
		{identity, "client-certificate", s.Certificate(user)},
		{identity, "client-key", s.Key(user)},
	} {
		if !options.Embed {
			entry.into[entry.key] = entry.path
			continue
		}
		data, err := os.ReadFile(entry.path)
		if err != nil {
			return nil, fmt.Errorf("write kubeconfig of %s: %w", user, err)
		}
		entry.into[entry.key+"-data"] = data
	}
	name := options.Cluster
	if name == "" {
		name = "cluster"
	}
	context := map[string]any{"cluster": name, "user": user}
	if options.Namespace != "" {
		context["namespace"] = options.Namespace
	}
	data, err := yaml.Marshal(map[string]any{
		"apiVersion":      "v1",
		"kind":            "Config",
		"clusters":        []any{map[string]any{"name": name, "cluster": cluster}},
		"users":           []any{map[string]any{"name": user, "user": identity}},
		"contexts":        []any{map[string]any{"name": name, "context": context}},
		"current-context": name,
	})
	if err != nil {
		return nil, fmt.Errorf("write kubeconfig of %s: %w", user, err)
	}
	return data, nil
}
