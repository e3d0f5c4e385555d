// Package node describes the one node of the cluster: which programs it runs, with which arguments, configuration and
// identities. It only describes; package cluster writes and starts what it says.
package node

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"strings"

	"github.com/ft-services/ft-services/tools/cluster/internal/network"
	"github.com/ft-services/ft-services/tools/cluster/internal/pki"
	"github.com/ft-services/ft-services/tools/cluster/internal/process"
)

// The cluster's inner addresses.
const (
	Port          = 6443
	ClusterDomain = "cluster.local"
	podCIDR       = "10.244.0.0/16"
	nodePodCIDR   = "10.244.0.0/24"
	firstService  = "10.96.0.1"
	DNS           = "10.96.0.10"
	// Bridge is what the pods are attached to.
	Bridge = "cni0"
)

// The names of the node's processes, in the order in which they depend on each other.
const (
	Holder            = "mounts"
	Containerd        = "containerd"
	Etcd              = "etcd"
	APIServer         = "kube-apiserver"
	ControllerManager = "kube-controller-manager"
	Scheduler         = "kube-scheduler"
	NetworkPolicy     = "networkpolicy"
	Proxy             = "kube-proxy"
	Kubelet           = "kubelet"
	Provisioner       = "provisioner"
)

// Shims is the cgroup of containerd's shims: they outlive a containerd, so they cannot be in its cgroup.
const Shims = "shims"

// Identities that are no process.
const (
	Admin = "admin"
	// Authorities and keys.
	ClusterCA      = "ca"
	etcdCA         = "etcd-ca"
	frontProxyCA   = "front-proxy-ca"
	serviceAccount = "service-account"
)

// Hidden are the folders of the machine that the node gets empty ones of its own for: programs write there whatever
// they are told, and would meet another container runtime's files.
var Hidden = []string{"/var/lib/kubelet", "/var/lib/cni", "/var/log/containers", "/run/containerd"}

// Node is one cluster's node.
type Node struct {
	// Name is the node's name in the cluster.
	Name string
	// State keeps the node's files, Runtime its sockets and all that ends with the node.
	State, Runtime string
	// Programs are the paths of built programs by name.
	Programs map[string]string
	// PauseImage is the image that holds a pod's namespaces.
	PauseImage string
	// Cgroup is the path of the node's cgroup.
	Cgroup string
}

// Folders are the folders that must exist before anything starts.
func (n *Node) Folders() []string {
	var folders []string
	for _, name := range []string{"pki", "config", "config/cni", "logs", "logs/pods", "etcd", "containerd", "kubelet", "volumes"} {
		folders = append(folders, filepath.Join(n.State, name))
	}
	return append(folders, filepath.Join(n.Runtime, "processes"), filepath.Join(n.Runtime, "containerd"))
}

// Socket is where containerd listens.
func (n *Node) Socket() string { return filepath.Join(n.Runtime, "containerd.sock") }

// Store is where the node's keys and certificates are.
func (n *Node) Store() *pki.Store { return pki.New(filepath.Join(n.State, "pki")) }

// Server is the address of the API server.
func Server() string { return fmt.Sprintf("https://%s:%d", network.Node, Port) }

// users are the components that talk to the API server, and as whom.
func (n *Node) users() []pki.Leaf {
	return []pki.Leaf{
		{Name: Admin, CommonName: "kubernetes-admin", Organization: []string{"system:masters"}, Client: true},
		{Name: ControllerManager, CommonName: "system:kube-controller-manager", Client: true},
		{Name: Scheduler, CommonName: "system:kube-scheduler", Client: true},
		{Name: Proxy, CommonName: "system:kube-proxy", Client: true},
		{Name: Kubelet, CommonName: "system:node:" + n.Name, Organization: []string{"system:nodes"}, Client: true},
		{Name: NetworkPolicy, CommonName: "ft-services:networkpolicy", Client: true},
		{Name: Provisioner, CommonName: "ft-services:provisioner", Client: true},
	}
}

// Certify makes all keys and certificates that are missing or due.
func (n *Node) Certify() error {
	store := n.Store()
	loopback := netip.MustParseAddr("127.0.0.1")
	err := store.Authority(ClusterCA, "kubernetes", append(n.users(),
		pki.Leaf{Name: "kube-apiserver-serving", CommonName: "kube-apiserver",
			DNSNames: []string{n.Name, "localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc",
				"kubernetes.default.svc." + ClusterDomain},
			Addresses: []netip.Addr{netip.MustParseAddr(firstService), network.Node, loopback}},
		pki.Leaf{Name: "kube-apiserver-kubelet", CommonName: "kube-apiserver-kubelet-client", Client: true},
		pki.Leaf{Name: "kubelet-serving", CommonName: "system:node:" + n.Name, Organization: []string{"system:nodes"},
			DNSNames: []string{n.Name}, Addresses: []netip.Addr{network.Node}},
	)...)
	if err != nil {
		return err
	}
	err = store.Authority(etcdCA, "etcd",
		pki.Leaf{Name: "etcd-serving", CommonName: "etcd", DNSNames: []string{"localhost"},
			Addresses: []netip.Addr{loopback}, Client: true},
		pki.Leaf{Name: "kube-apiserver-etcd", CommonName: "kube-apiserver-etcd-client", Client: true})
	if err != nil {
		return err
	}
	err = store.Authority(frontProxyCA, "front-proxy",
		pki.Leaf{Name: "front-proxy", CommonName: "front-proxy-client", Client: true})
	if err != nil {
		return err
	}
	return store.SigningKey(serviceAccount)
}

// Files returns the node's configuration files, by path.
func (n *Node) Files() (map[string][]byte, error) {
	files := map[string][]byte{
		n.config("containerd.toml"):        []byte(n.containerdConfig()),
		n.config("cni/10-bridge.conflist"): []byte(n.cniConfig()),
		n.config("kubelet.yaml"):           []byte(n.kubeletConfig()),
		n.config("kube-proxy.yaml"):        []byte(n.proxyConfig()),
	}
	for _, user := range n.users() {
		if user.Name == Admin {
			continue
		}
		data, err := n.Store().Kubeconfig(Server(), ClusterCA, user.Name, pki.KubeconfigOptions{})
		if err != nil {
			return nil, err
		}
		files[n.kubeconfig(user.Name)] = data
	}
	return files, nil
}

func (n *Node) config(name string) string { return filepath.Join(n.State, "config", name) }

func (n *Node) kubeconfig(user string) string { return n.config(user + ".kubeconfig") }

// HolderScript runs in a new mount namespace: what the node mounts ends with it and is never seen by the machine.
func HolderScript() string {
	script := "set -e; mount --make-rshared /; "
	for _, folder := range Hidden {
		script += "mount -t tmpfs -o mode=0755 tmpfs " + folder + "; "
	}
	return script + "exec sleep infinity"
}

// Processes returns all processes except the holder of the mounts, in their order.
func (n *Node) Processes() []process.Spec {
	store := n.Store()
	cert, key := store.Certificate, store.Key
	specs := []process.Spec{
		{
			Name:    Containerd,
			Command: []string{"containerd", "--config", n.config("containerd.toml")},
			Files:   []string{n.config("containerd.toml"), n.config("cni/10-bridge.conflist")},
		},
		{
			Name: Etcd,
			Command: []string{"etcd", "--name=" + n.Name, "--data-dir=" + filepath.Join(n.State, "etcd"), "--logger=zap",
				"--listen-client-urls=https://127.0.0.1:2379", "--advertise-client-urls=https://127.0.0.1:2379",
				"--listen-peer-urls=https://127.0.0.1:2380", "--initial-advertise-peer-urls=https://127.0.0.1:2380",
				"--initial-cluster=" + n.Name + "=https://127.0.0.1:2380",
				"--client-cert-auth", "--trusted-ca-file=" + cert(etcdCA),
				"--cert-file=" + cert("etcd-serving"), "--key-file=" + key("etcd-serving"),
				"--peer-client-cert-auth", "--peer-trusted-ca-file=" + cert(etcdCA),
				"--peer-cert-file=" + cert("etcd-serving"), "--peer-key-file=" + key("etcd-serving")},
			Files: []string{cert(etcdCA), cert("etcd-serving")},
		},
		{
			Name: APIServer,
			Command: []string{n.Programs[APIServer],
				"--advertise-address=" + network.Node.String(), fmt.Sprintf("--secure-port=%d", Port),
				"--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction",
				"--allow-privileged=true", "--profiling=false",
				"--cert-dir=" + filepath.Join(n.Runtime, "kube-apiserver"),
				"--client-ca-file=" + cert(ClusterCA),
				"--tls-cert-file=" + cert("kube-apiserver-serving"), "--tls-private-key-file=" + key("kube-apiserver-serving"),
				"--etcd-servers=https://127.0.0.1:2379", "--etcd-cafile=" + cert(etcdCA),
				"--etcd-certfile=" + cert("kube-apiserver-etcd"), "--etcd-keyfile=" + key("kube-apiserver-etcd"),
				"--kubelet-certificate-authority=" + cert(ClusterCA),
				"--kubelet-client-certificate=" + cert("kube-apiserver-kubelet"), "--kubelet-client-key=" + key("kube-apiserver-kubelet"),
				// The node's name is in no DNS.
				"--kubelet-preferred-address-types=InternalIP",
				"--requestheader-client-ca-file=" + cert(frontProxyCA), "--requestheader-allowed-names=front-proxy-client",
				"--requestheader-extra-headers-prefix=X-Remote-Extra-", "--requestheader-group-headers=X-Remote-Group",
				"--requestheader-username-headers=X-Remote-User",
				"--proxy-client-cert-file=" + cert("front-proxy"), "--proxy-client-key-file=" + key("front-proxy"),
				"--service-account-issuer=https://kubernetes.default.svc." + ClusterDomain,
				"--service-account-key-file=" + store.PublicKey(serviceAccount),
				"--service-account-signing-key-file=" + key(serviceAccount),
				"--service-cluster-ip-range=" + network.Services.String()},
			Files: []string{cert(ClusterCA), cert("kube-apiserver-serving"), cert("kube-apiserver-etcd"),
				cert("kube-apiserver-kubelet"), cert("front-proxy"), store.PublicKey(serviceAccount)},
		},
		{
			Name: ControllerManager,
			Command: append([]string{n.Programs[ControllerManager],
				"--client-ca-file=" + cert(ClusterCA), "--requestheader-client-ca-file=" + cert(frontProxyCA),
				"--cluster-signing-cert-file=" + cert(ClusterCA), "--cluster-signing-key-file=" + key(ClusterCA),
				"--root-ca-file=" + cert(ClusterCA), "--service-account-private-key-file=" + key(serviceAccount),
				"--use-service-account-credentials=true", "--allocate-node-cidrs=true",
				"--cluster-cidr=" + podCIDR, "--service-cluster-ip-range=" + network.Services.String(),
			}, n.controllerFlags(ControllerManager)...),
			Files: []string{n.kubeconfig(ControllerManager), cert(ControllerManager), cert(ClusterCA)},
		},
		{
			Name:    Scheduler,
			Command: append([]string{n.Programs[Scheduler]}, n.controllerFlags(Scheduler)...),
			Files:   []string{n.kubeconfig(Scheduler), cert(Scheduler)},
		},
		{
			Name: NetworkPolicy,
			Command: []string{n.Programs[NetworkPolicy], "--kubeconfig=" + n.kubeconfig(NetworkPolicy),
				"--node-name=" + n.Name, "--bridge=" + Bridge},
			Files: []string{n.kubeconfig(NetworkPolicy), cert(NetworkPolicy)},
		},
		{
			Name:    Proxy,
			Command: []string{n.Programs[Proxy], "--config=" + n.config("kube-proxy.yaml")},
			Files:   []string{n.config("kube-proxy.yaml"), n.kubeconfig(Proxy), cert(Proxy)},
		},
		{
			Name: Kubelet,
			Command: []string{n.Programs[Kubelet], "--config=" + n.config("kubelet.yaml"),
				"--kubeconfig=" + n.kubeconfig(Kubelet), "--root-dir=" + filepath.Join(n.State, "kubelet"),
				"--cert-dir=" + filepath.Join(n.State, "kubelet", "pki"),
				"--hostname-override=" + n.Name, "--node-ip=" + network.Node.String()},
			Files: []string{n.config("kubelet.yaml"), n.kubeconfig(Kubelet), cert(Kubelet), cert("kubelet-serving")},
		},
		{
			Name: Provisioner,
			Command: []string{n.Programs[Provisioner], "--kubeconfig=" + n.kubeconfig(Provisioner),
				"--root=" + filepath.Join(n.State, "volumes")},
			Files: []string{n.kubeconfig(Provisioner), cert(Provisioner)},
		},
	}
	return specs
}

// controllerFlags are common to the controller manager and the scheduler. There is one of each: electing it would cost
// the seconds that the last one's lease still lasts.
func (n *Node) controllerFlags(name string) []string {
	kubeconfig := n.kubeconfig(name)
	return []string{"--kubeconfig=" + kubeconfig, "--authentication-kubeconfig=" + kubeconfig,
		"--authorization-kubeconfig=" + kubeconfig, "--bind-address=127.0.0.1", "--leader-elect=false", "--profiling=false"}
}

func (n *Node) containerdConfig() string {
	return fmt.Sprintf(`version = 2
root = %[1]q
state = %[2]q

[grpc]
  address = %[3]q

[plugins."io.containerd.internal.v1.opt"]
  path = %[4]q

[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = %[5]q
  # A machine may lack AppArmor's tools or the right to lower an OOM score.
  disable_apparmor = true
  restrict_oom_score_adj = true
  # Pods' network namespaces go where the node's other mounts are.
  netns_mounts_under_state_dir = true

  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = %[6]q

  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"

    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      ShimCgroup = %[7]q
`, filepath.Join(n.State, "containerd"), filepath.Join(n.Runtime, "containerd"), n.Socket(),
		filepath.Join(n.State, "containerd", "opt"), n.PauseImage, n.config("cni"), filepath.Join(n.Cgroup, Shims))
}

// cniConfig attaches pods to a bridge. Their addresses are handed out from a file that ends with the node, as the pods'
// namespaces do. Pods get no way out of the node's network.
func (n *Node) cniConfig() string {
	return fmt.Sprintf(`{
  "cniVersion": "1.0.0",
  "name": %q,
  "plugins": [
    {
      "type": "bridge",
      "bridge": %q,
      "isGateway": true,
      "hairpinMode": true,
      "ipam": {
        "type": "host-local",
        "dataDir": %q,
        "ranges": [[{"subnet": %q}]],
        "routes": [{"dst": "0.0.0.0/0"}]
      }
    }
  ]
}
`, n.Name, Bridge, filepath.Join(n.Runtime, "addresses"), nodePodCIDR)
}

func (n *Node) kubeletConfig() string {
	store := n.Store()
	return fmt.Sprintf(`apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
authentication:
  anonymous: {enabled: false}
  webhook: {enabled: true}
  x509: {clientCAFile: %[1]q}
authorization: {mode: Webhook}
tlsCertFile: %[2]q
tlsPrivateKeyFile: %[3]q
address: %[4]s
healthzBindAddress: 127.0.0.1
clusterDNS: [%[5]s]
clusterDomain: %[6]s
# Pods ask the cluster's DNS only; there is no other to pass questions on to.
resolvConf: ""
containerRuntimeEndpoint: %[7]q
cgroupDriver: cgroupfs
cgroupRoot: %[8]q
podLogsDir: %[9]q
volumePluginDir: %[10]q
# How soon a changed Secret is seen in a pod. MetalLB writes its webhook's certificate into its own pod this way: at the
# usual minute, its liveness probe would lose patience first.
syncFrequency: 5s
failSwapOn: false
oomScoreAdj: 0
makeIPTablesUtilChains: false
# Images were loaded by hand and cannot be fetched again.
imageGCHighThresholdPercent: 100
evictionHard: {memory.available: 50Mi, nodefs.available: 1%%, imagefs.available: 1%%}
`, store.Certificate(ClusterCA), store.Certificate("kubelet-serving"), store.Key("kubelet-serving"), network.Node, DNS,
		ClusterDomain, "unix://"+n.Socket(), n.Cgroup, filepath.Join(n.State, "logs", "pods"),
		filepath.Join(n.State, "kubelet", "volume-plugins"))
}

func (n *Node) proxyConfig() string {
	return fmt.Sprintf(`apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
# Not nftables: in that mode an endpoint that goes and comes back within a second, or while the proxy is restarted, keeps
# an empty chain, and its Service refuses everybody from then on.
mode: iptables
iptables: {localhostNodePorts: false}
clientConnection: {kubeconfig: %q}
clusterCIDR: %s
hostnameOverride: %s
healthzBindAddress: 127.0.0.1:10256
metricsBindAddress: 127.0.0.1:10249
oomScoreAdj: 0
# The machine's connection tracking is not the node's to tune.
conntrack: {maxPerCore: 0, min: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s}
`, n.kubeconfig(Proxy), podCIDR, n.Name)
}

// CheckPaths refuses folders in which the node could not work.
func (n *Node) CheckPaths() error {
	// The longest socket below the state folder; the kernel takes 107 characters.
	if socket := filepath.Join(n.State, "kubelet", "pod-resources", "kubelet.sock"); len(socket) > 107 {
		return fmt.Errorf("use %s: a socket's path below it would be longer than 107 characters; give a shorter --state", n.State)
	}
	for _, path := range []string{n.State, n.Programs[Kubelet]} {
		for _, hidden := range Hidden {
			if path == hidden || strings.HasPrefix(path, hidden+"/") {
				return fmt.Errorf("use %s: the node has its own %s; choose another folder", path, hidden)
			}
		}
	}
	return nil
}
