// Package synthetic writes Kustomize trees of any size that keep every policy of this repository: a
// base of many services and overlays over it. Benchmarks take their input from here.
package synthetic

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Size is how large a tree is.
type Size struct {
	Services int
	Overlays int
	// Distinct gives every overlay a namespace and a label of its own, so that no object is the same in
	// two of them. Otherwise they differ in what they patch, as overlays over one base mostly do.
	Distinct bool
}

// String is services×overlays.
func (s Size) String() string { return fmt.Sprintf("%d×%d", s.Services, s.Overlays) }

// perService and shared count the objects of an overlay: of each service, and beside them.
const (
	perService = 5 // Deployment, Service, ConfigMap, PersistentVolumeClaim, ServiceAccount
	shared     = 4 // Namespace, ResourceQuota, two NetworkPolicies
	patched    = 10
)

// Objects is how many objects all overlays render to together.
func (s Size) Objects() int { return s.Overlays * (perService*s.Services + shared) }

// OverlaysDir holds the overlays of a tree, PoliciesDir what the policies must know of it and, after
// AddPolicies, the policies.
const (
	OverlaysDir = "overlays"
	PoliciesDir = "policies"
)

// OverlayName is the name of an overlay, counted from 0.
func OverlayName(overlay int) string { return fmt.Sprintf("cluster-%02d", overlay) }

// Write writes a tree into dir. Every overlay patches every tenth service, each in its own way.
func Write(dir string, size Size) error {
	files := map[string]string{
		PoliciesDir + "/facts.yaml":     facts(size),
		"base/namespace/namespace.yaml": namespace,
		"base/namespace/limits.yaml":    limits,
		"base/namespace/policies.yaml":  networkPolicies,
		"base/namespace/kustomization.yaml": kustomization(
			"resources: [namespace.yaml, limits.yaml, policies.yaml]",
			labels("namespace", "namespace", ""),
		),
	}
	var services strings.Builder
	for i := range size.Services {
		name := serviceName(i)
		fmt.Fprintf(&services, "  - %s\n", name)
		below := "base/" + name + "/"
		for file, text := range map[string]string{"deployment.yaml": deployment, "service.yaml": service, "claim.yaml": claim, "account.yaml": account} {
			files[below+file] = strings.ReplaceAll(text, "NAME", name)
		}
		files[below+"config/server.conf"] = strings.ReplaceAll(configuration, "NAME", name)
		files[below+"kustomization.yaml"] = kustomization(
			"resources: [deployment.yaml, service.yaml, claim.yaml, account.yaml]",
			fmt.Sprintf("configMapGenerator:\n  - name: %s-config\n    files: [config/server.conf]", name),
			labels(name, "server", "1.4.2"),
		)
	}
	files["base/kustomization.yaml"] = kustomization("resources:\n  - namespace\n" + strings.TrimRight(services.String(), "\n"))
	for i := range size.Overlays {
		name := OverlayName(i)
		below := OverlaysDir + "/" + name + "/"
		var patches strings.Builder
		for j := range size.Services {
			if j%patched == 0 {
				file := fmt.Sprintf("patches/%s.yaml", serviceName(j))
				fmt.Fprintf(&patches, "  - path: %s\n", file)
				files[below+file] = strings.NewReplacer("NAME", serviceName(j), "MEMORY", fmt.Sprint(128+i)).Replace(patch)
			}
		}
		parts := []string{"namespace: shop", "resources: [../../base]", "patches:\n" + strings.TrimRight(patches.String(), "\n")}
		if size.Distinct {
			parts[0] = "namespace: " + name
			parts = append(parts, fmt.Sprintf("labels:\n  - includeTemplates: true\n    pairs:\n      example.com/cluster: %s", name))
		}
		files[below+"kustomization.yaml"] = kustomization(parts...)
	}
	for file, text := range files {
		path := filepath.Join(dir, filepath.FromSlash(file))
		if err := write(path, []byte(text)); err != nil {
			return fmt.Errorf("writing a tree of %s: %w", size, err)
		}
	}
	return nil
}

// PatchFile is a file that one overlay alone reads.
func PatchFile(dir string, overlay int) string {
	return filepath.Join(dir, OverlaysDir, OverlayName(overlay), "patches", serviceName(0)+".yaml")
}

// Break makes one container of the last overlay privileged: one finding, of workloads/pod_security.
func Break(dir string, size Size) error {
	file := PatchFile(dir, size.Overlays-1)
	text, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("breaking a tree: %w", err)
	}
	broken := string(text) + "          securityContext: {privileged: true}\n"
	if err := os.WriteFile(file, []byte(broken), 0o644); err != nil {
		return fmt.Errorf("breaking a tree: %w", err)
	}
	return nil
}

func serviceName(i int) string { return fmt.Sprintf("service-%03d", i) }

func kustomization(parts ...string) string {
	return "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n" + strings.Join(parts, "\n") + "\n"
}

func labels(name, component, version string) string {
	text := fmt.Sprintf(`labels:
  - includeTemplates: true
    pairs:
      app.kubernetes.io/name: %s
      app.kubernetes.io/component: %s
      app.kubernetes.io/part-of: shop
      app.kubernetes.io/managed-by: kustomize`, name, component)
	if version != "" {
		text += "\n      app.kubernetes.io/version: " + version
	}
	return text
}

func facts(size Size) string {
	var namespaces strings.Builder
	namespaces.WriteString("    - {name: shop}\n")
	for i := range size.Overlays {
		fmt.Fprintf(&namespaces, "    - {name: %s}\n", OverlayName(i))
	}
	return `# What the policies must know of the synthetic tree.
facts:
  part_of: shop
  registries: [registry.example.com/shop]
  selector_labels: [app.kubernetes.io/name, app.kubernetes.io/component]
  service_types: {web: LoadBalancer}
  reserved_ports:
    - {port: 80, service: web}
    - {port: 443, service: web}
  passive_ports: []
  api_clients: []
  persistent_data: []
  host_paths: []
  declared_secrets: []
  egress_by_port: []
  pod_security_levels: []
  namespaces:
` + namespaces.String()
}

const namespace = `apiVersion: v1
kind: Namespace
metadata:
  name: shop
  labels:
    pod-security.kubernetes.io/enforce: restricted
    pod-security.kubernetes.io/enforce-version: v1.34
    pod-security.kubernetes.io/audit: restricted
    pod-security.kubernetes.io/audit-version: v1.34
    pod-security.kubernetes.io/warn: restricted
    pod-security.kubernetes.io/warn-version: v1.34
`

const limits = `apiVersion: v1
kind: ResourceQuota
metadata:
  name: no-node-ports
spec:
  hard:
    services.nodeports: "0"
`

const networkPolicies = `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: default-deny
spec:
  podSelector: {}
  policyTypes: [Ingress, Egress]
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: servers
spec:
  podSelector:
    matchLabels:
      app.kubernetes.io/component: server
  policyTypes: [Ingress, Egress]
  ingress:
    - from:
        - ipBlock: {cidr: 10.0.0.0/8}
      ports:
        - {protocol: TCP, port: http}
`

const deployment = `apiVersion: apps/v1
kind: Deployment
metadata:
  name: NAME
spec:
  replicas: 1
  strategy:
    type: Recreate
  selector:
    matchLabels:
      app.kubernetes.io/name: NAME
  template:
    metadata:
      labels:
        app.kubernetes.io/name: NAME
    spec:
      serviceAccountName: NAME
      automountServiceAccountToken: false
      enableServiceLinks: false
      shareProcessNamespace: true
      securityContext:
        runAsNonRoot: true
        runAsUser: 10001
        runAsGroup: 10001
        fsGroup: 10001
        seccompProfile:
          type: RuntimeDefault
      containers:
        - name: NAME
          image: registry.example.com/shop/NAME:1.4.2
          args: [--config=/etc/server/server.conf]
          env:
            - name: LOG_LEVEL
              value: info
          ports:
            - name: http
              containerPort: 8080
          readinessProbe:
            httpGet: {path: /ready, port: http}
            periodSeconds: 5
          livenessProbe:
            httpGet: {path: /alive, port: http}
            periodSeconds: 10
          resources:
            requests: {cpu: 10m, memory: 64Mi}
            limits: {memory: 128Mi}
          securityContext:
            allowPrivilegeEscalation: false
            readOnlyRootFilesystem: true
            capabilities:
              drop: [ALL]
          volumeMounts:
            - name: config
              mountPath: /etc/server
              readOnly: true
            - name: data
              mountPath: /var/lib/server
            - name: tmp
              mountPath: /tmp
      volumes:
        - name: config
          configMap:
            name: NAME-config
        - name: data
          persistentVolumeClaim:
            claimName: NAME
        - name: tmp
          emptyDir:
            sizeLimit: 64Mi
`

const service = `apiVersion: v1
kind: Service
metadata:
  name: NAME
spec:
  selector:
    app.kubernetes.io/name: NAME
  ports:
    - name: http
      port: 8080
      targetPort: http
`

const claim = `apiVersion: v1
kind: PersistentVolumeClaim
metadata:
  name: NAME
spec:
  accessModes: [ReadWriteOnce]
  resources:
    requests: {storage: 1Gi}
`

const account = `apiVersion: v1
kind: ServiceAccount
metadata:
  name: NAME
automountServiceAccountToken: false
`

const configuration = `# The configuration of NAME.
[server]
listen = 0.0.0.0:8080
data = /var/lib/server
workers = 4
timeout = 30s

[log]
level = info
format = json
`

const patch = `apiVersion: apps/v1
kind: Deployment
metadata:
  name: NAME
spec:
  template:
    spec:
      containers:
        - name: NAME
          resources:
            limits: {memory: MEMORYMi}
`

// AddPolicies copies the policies of a folder, without their tests, beside a tree's own facts.
func AddPolicies(dir, policies string) error {
	err := filepath.WalkDir(policies, func(file string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || filepath.Ext(file) != ".rego" || strings.HasSuffix(file, "_test.rego") {
			return err
		}
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		below, err := filepath.Rel(policies, file)
		if err != nil {
			return err
		}
		return write(filepath.Join(dir, PoliciesDir, below), text)
	})
	if err != nil {
		return fmt.Errorf("adding policies to a tree: %w", err)
	}
	return nil
}

func write(path string, text []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, text, 0o644)
}
