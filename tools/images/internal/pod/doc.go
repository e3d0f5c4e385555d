// Package pod runs the pod template of a rendered overlay on this machine, with runc and nothing else
// of a cluster. What an image meets in a container is a kubelet's and a container runtime's doing:
// user, capabilities, read-only root, mounts and their modes, shared namespaces, memory limit,
// restarts, probes. All of that is done here in the same way; scheduling, Services and network
// policies are not.
//
// A [Host] owns everything that a run leaves on the machine, and takes it away again. A [Network] is a
// network namespace with nothing but a loopback interface; every pod in it has the address 127.0.0.1.
package pod
