package manifest_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ft-services/ft-services/tools/validate/internal/schema"
)

// expected is a defect; says is a part of its text.
type expected struct {
	path []any
	says string
}

// TestEveryClassOfDefectInEveryRelease has no defect that depends on the minor version.
func TestEveryClassOfDefectInEveryRelease(t *testing.T) {
	const service, pod = "apiVersion: v1\nkind: Service\nmetadata: {name: web}\n", "apiVersion: v1\nkind: Pod\nmetadata: {name: web}\n"
	container := func(fields string) string { return pod + "spec: {containers: [{name: web, " + fields + "}]}\n" }
	inContainer := func(steps ...any) []any { return append([]any{"spec", "containers", 0}, steps...) }
	for name, test := range map[string]struct {
		text string
		want []expected
	}{
		"sound": {service + "spec: {type: NodePort, selector: {a: b}, ports: [{port: 80, targetPort: web}, {port: 81, targetPort: 81}]}", nil},
		"unknown": {service + "spec: {ports: [{port: 80, protocl: TCP}]}",
			[]expected{{[]any{"spec", "ports", 0, "protocl"}, `the type has no field "protocl" in Kubernetes MINOR; did you mean "protocol"?`}}},
		"unknown in the metadata": {"apiVersion: v1\nkind: Service\nmetadata: {name: web, label: {a: b}}\n",
			[]expected{{[]any{"metadata", "label"}, `; did you mean "labels"?`}}},
		"unknown, in another case": {service + "spec: {clusterIp: None}", []expected{{[]any{"spec", "clusterIp"}, `; did you mean "clusterIP"?`}}},
		"unknown, like no other":   {service + "spec: {xyzzy: 1}", []expected{{[]any{"spec", "xyzzy"}, `no field "xyzzy" in Kubernetes MINOR`}}},
		"missing": {service + "spec: {ports: [{name: web}]}",
			[]expected{{[]any{"spec", "ports", 0, "port"}, `the field "port" is missing, which Kubernetes MINOR requires`}}},
		"missing, since it is null": {"apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec: {selector: null, template: {}}",
			[]expected{{[]any{"spec", "selector"}, "is missing"}}},
		"missing in the status, which is not written": {service + "status: {loadBalancer: {ingress: [{ports: [{}]}]}}", nil},
		"mistyped": {service + "spec: {ports: [{port: true}]}",
			[]expected{{[]any{"spec", "ports", 0, "port"}, `the field "port" holds a bool where the type wants int32 in Kubernetes MINOR`}}},
		"out of an enumeration": {service + "spec: {type: Nodeport}",
			[]expected{{[]any{"spec", "type"}, `the field "type" holds "Nodeport"; Kubernetes MINOR knows ClusterIP, ExternalName, LoadBalancer and NodePort; did you mean "NodePort"?`}}},
		"out of an enumeration, in a list": {"apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: web}\nspec: {podSelector: {}, policyTypes: [Ingress, egress]}",
			[]expected{{[]any{"spec", "policyTypes", 1}, `did you mean "Egress"?`}}},
		"an empty value of an enumeration": {pod + "spec: {restartPolicy: '', containers: [{name: web}]}", nil},
		"quantities":                       {container("resources: {limits: {cpu: 2, memory: 1.5Gi}, requests: {cpu: 0.5}}"), nil},
		"no quantity": {container("resources: {limits: {memory: 1 GB}}"),
			[]expected{{inContainer("resources", "limits", "memory"), `does not hold a Quantity`}}},
		"a list for a quantity": {container("resources: {limits: {memory: []}}"),
			[]expected{{inContainer("resources", "limits", "memory"), `holds a list where the type wants a Quantity such as`}}},
		"a number or a name": {container("livenessProbe: {httpGet: {port: [80]}}"),
			[]expected{{inContainer("livenessProbe", "httpGet", "port"), `a list where the type wants a number or a string`}}},
		"a fraction for an integer": {container("ports: [{containerPort: 80.5}]"),
			[]expected{{inContainer("ports", 0, "containerPort"), `the number 80.5 where the type wants int32`}}},
		"a whole fraction": {container("ports: [{containerPort: 80.0}]"), nil},
		"no time":          {"apiVersion: coordination.k8s.io/v1\nkind: Lease\nmetadata: {name: web}\nspec: {renewTime: yesterday}", []expected{{[]any{"spec", "renewTime"}, `"yesterday" where the type wants a time such as`}}},
		"two of a list's keys": {container("env: [{name: A}, {name: B}, {name: A}]"),
			[]expected{{inContainer("env", 2), `the list has another item with name "A", by which Kubernetes MINOR tells its items apart`}}},
		"two of a list's keys, one by default": {container("ports: [{containerPort: 80}, {containerPort: 80, protocol: TCP}, {containerPort: 80, protocol: UDP}]"),
			[]expected{{inContainer("ports", 1), `containerPort 80 and protocol "TCP"`}}},
		"two of a set": {"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: web, finalizers: [a/b, a/b]}", []expected{{[]any{"metadata", "finalizers", 1}, `"a/b"`}}},
		"any JSON":     {"apiVersion: apps/v1\nkind: ControllerRevision\nmetadata: {name: web}\nrevision: 1\ndata: {a: [{b: 1}]}", nil},
		"a schema in a schema": {`apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: as.example.com}
spec:
  group: example.com
  scope: Cluster
  names: {kind: A, plural: as}
  versions:
    - {name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, properties: {a: {type: array, items: {type: object, propertys: {}}}}}}}
`, []expected{{[]any{"spec", "versions", 0, "schema", "openAPIV3Schema", "properties", "a", "items", "propertys"}, `did you mean "properties"?`}}},
		"a group that Kubernetes never had": {"apiVersion: app/v1\nkind: Deployment\nmetadata: {name: web}",
			[]expected{{[]any{"kind"}, "no schema is known for app/v1 Deployment in Kubernetes MINOR; did you mean apps/Deployment?"}}},
		"a version that Kubernetes never had": {"apiVersion: apps/v3\nkind: Deployment\nmetadata: {name: web}",
			[]expected{{[]any{"apiVersion"}, "v3 is no version of Deployment; use apps/v1"}}},
		"a version that was removed from the group": {"apiVersion: extensions/v1beta1\nkind: Ingress\nmetadata: {name: web}",
			[]expected{{[]any{"apiVersion"}, "Kubernetes 1.22 has removed extensions/v1beta1 Ingress; use networking.k8s.io/v1 Ingress"}}},
		"a custom kind without a definition": {"apiVersion: example.com/v1\nkind: Widget\nmetadata: {name: web}",
			[]expected{{[]any{"kind"}, "the CustomResourceDefinition must be in a checked overlay, or be named with --crds"}}},
		"no kind": {"apiVersion: v1\nmetadata: {name: web}", []expected{{nil, "apiVersion or kind is missing"}}},
	} {
		t.Run(name, func(t *testing.T) {
			for _, minor := range schema.Minors() {
				_, defects := decodeFor(t, minor, test.text)
				require.Len(t, defects, len(test.want), "Kubernetes %s: %v", minor, defects)
				for i, want := range test.want {
					assert.Equal(t, want.path, defects[i].Path, minor)
					assert.Contains(t, defects[i].Text, strings.ReplaceAll(want.says, "MINOR", minor))
				}
			}
		})
	}
}

// TestWhatDependsOnTheRelease names for each case the versions in which it is a defect.
func TestWhatDependsOnTheRelease(t *testing.T) {
	require.Equal(t, []string{"1.34", "1.35", "1.36", "1.37"}, schema.Minors(), "the table below is about these")
	pod := func(fields string) string {
		return "apiVersion: v1\nkind: Pod\nmetadata: {name: web}\nspec: {containers: [{name: web}], " + fields + "}\n"
	}
	kind := func(apiVersion, kind string) string {
		return "apiVersion: " + apiVersion + "\nkind: " + kind + "\nmetadata: {name: web}\n"
	}
	for name, test := range map[string]struct {
		text string
		in   map[string]string // what is said, by version
	}{
		"a field that 1.36 brought": {pod("schedulingGroup: {}"), map[string]string{
			"1.34": `no field "schedulingGroup" in Kubernetes 1.34; Kubernetes 1.36 and 1.37 have it`,
			"1.35": `no field "schedulingGroup" in Kubernetes 1.35; Kubernetes 1.36 and 1.37 have it`,
		}},
		"a field that only 1.35 had": {pod("workloadRef: {name: a, podGroup: b}"), map[string]string{
			"1.34": `no field "workloadRef" in Kubernetes 1.34; Kubernetes 1.35 has it`,
			"1.36": `no field "workloadRef"`,
			"1.37": `no field "workloadRef"`,
		}},
		"a value that 1.35 brought": {pod("tolerations: [{key: a, operator: Gt, value: '5'}]"), map[string]string{
			"1.34": `the field "operator" holds "Gt"; Kubernetes 1.34 knows Equal and Exists`,
		}},
		"a field that a later schema no longer requires": {
			kind("rbac.authorization.k8s.io/v1", "RoleBinding") + "roleRef: {kind: Role, name: web}\n",
			nil, // The API server has always filled it in.
		},
		"a version that 1.36 brought": {kind("admissionregistration.k8s.io/v1", "MutatingAdmissionPolicy"), map[string]string{
			"1.34": "Kubernetes 1.34 does not serve admissionregistration.k8s.io/v1 MutatingAdmissionPolicy; known to Kubernetes 1.36, 1.37; use admissionregistration.k8s.io/v1beta1",
			"1.35": "Kubernetes 1.35 does not serve",
		}},
		"a version that 1.37 has removed": {kind("networking.k8s.io/v1beta1", "IPAddress") + "spec: {parentRef: {name: a, resource: b}}\n", map[string]string{
			"1.37": "use networking.k8s.io/v1",
		}},
		"a kind that 1.35 brought": {kind("scheduling.k8s.io/v1alpha1", "Workload") + "spec: {podGroups: []}\n", map[string]string{
			"1.34": "Kubernetes 1.34 does not serve scheduling.k8s.io/v1alpha1 Workload",
			"1.36": "Kubernetes 1.36 does not serve scheduling.k8s.io/v1alpha1 Workload",
			"1.37": "Kubernetes 1.37 does not serve scheduling.k8s.io/v1alpha1 Workload",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			for _, minor := range schema.Minors() {
				_, defects := decodeFor(t, minor, test.text)
				says, found := test.in[minor]
				if !found {
					assert.Empty(t, defects, minor)
					continue
				}
				require.Len(t, defects, 1, minor)
				assert.Contains(t, defects[0].Text, says)
			}
		})
	}
}
