// Package hostpath provisions volumes that are directories of the node.
package hostpath

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/klog/v2"
	"sigs.k8s.io/sig-storage-lib-external-provisioner/v13/controller"
)

// Name is what a StorageClass names as its provisioner.
const Name = "ft-services.local/hostpath"

// The kubelet changes the owner or group of no hostPath volume, so its directory must be open to
// whichever user a pod runs as. What keeps everybody else out is the root directory above all of them:
// a container has its volume mounted and never walks through there.
const (
	rootMode   = 0o700
	volumeMode = 0o777
)

// Provisioner makes and removes the directories. It is used by one process on the one node of the cluster.
type Provisioner struct {
	path string
	root *os.Root
}

var _ controller.Provisioner = (*Provisioner)(nil)

// New returns a Provisioner of the directories in path, which it makes if it is not there. A directory
// that others can enter is refused.
func New(path string) (*Provisioner, error) {
	if !filepath.IsAbs(path) {
		return nil, fmt.Errorf("root %q is not an absolute path", path)
	}
	path = filepath.Clean(path)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, fmt.Errorf("make the root of the volumes: %w", err)
	}
	if err := os.Mkdir(path, rootMode); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("make the root of the volumes: %w", err)
	}
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, fmt.Errorf("open the root of the volumes: %w", err)
	}
	info, err := root.Stat(".")
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open the root of the volumes: %w", err), root.Close())
	}
	if open := info.Mode().Perm() &^ rootMode; open != 0 {
		return nil, errors.Join(fmt.Errorf("%s is open to others (mode %04o), and volumes in it would be too: "+
			"chmod 0700 it, or give the volumes a directory of their own", path, info.Mode().Perm()), root.Close())
	}
	return &Provisioner{path: path, root: root}, nil
}

// Close releases the root directory.
func (p *Provisioner) Close() error { return p.root.Close() }

// Provision makes the directory for a claim. Done again it finds the same one, with what is in it.
func (p *Provisioner) Provision(ctx context.Context, options controller.ProvisionOptions) (*corev1.PersistentVolume, controller.ProvisioningState, error) {
	volume, err := p.provision(options)
	if err != nil {
		return nil, controller.ProvisioningFinished, fmt.Errorf("provision %s for the claim %s/%s: %w",
			options.PVName, options.PVC.Namespace, options.PVC.Name, err)
	}
	klog.FromContext(ctx).Info("Made a volume", "volume", volume.Name, "claim", klog.KObj(options.PVC), "path", volume.Spec.HostPath.Path)
	return volume, controller.ProvisioningFinished, nil
}

func (p *Provisioner) provision(options controller.ProvisionOptions) (*corev1.PersistentVolume, error) {
	claim := options.PVC
	if claim.Spec.Selector != nil {
		return nil, errors.New("spec.selector asks for a volume that somebody made by hand; leave it out")
	}
	if options.StorageClass == nil || options.StorageClass.ReclaimPolicy == nil {
		return nil, errors.New("its StorageClass has no reclaimPolicy")
	}
	if err := checkName(options.PVName); err != nil {
		return nil, err
	}
	if err := p.root.Mkdir(options.PVName, rootMode); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("make its directory: %w", err)
	}
	info, err := p.root.Lstat(options.PVName)
	if err != nil {
		return nil, fmt.Errorf("make its directory: %w", err)
	}
	if !info.IsDir() {
		return nil, fmt.Errorf("%s is there and not a directory: remove it", filepath.Join(p.path, options.PVName))
	}
	// Not by mkdir's mode, which the umask narrows.
	if err := p.root.Chmod(options.PVName, volumeMode); err != nil {
		return nil, fmt.Errorf("open its directory to pods: %w", err)
	}
	directory := corev1.HostPathDirectory
	return &corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: options.PVName},
		Spec: corev1.PersistentVolumeSpec{
			PersistentVolumeReclaimPolicy: *options.StorageClass.ReclaimPolicy,
			AccessModes:                   claim.Spec.AccessModes,
			Capacity: corev1.ResourceList{
				corev1.ResourceStorage: claim.Spec.Resources.Requests[corev1.ResourceStorage],
			},
			PersistentVolumeSource: corev1.PersistentVolumeSource{
				HostPath: &corev1.HostPathVolumeSource{Path: filepath.Join(p.path, options.PVName), Type: &directory},
			},
		},
	}, nil
}

// Delete removes the directory of a volume, and never anything that Provision would not have made.
func (p *Provisioner) Delete(ctx context.Context, volume *corev1.PersistentVolume) error {
	if err := p.delete(volume); err != nil {
		return fmt.Errorf("delete the volume %s: %w", volume.Name, err)
	}
	klog.FromContext(ctx).Info("Removed a volume", "volume", volume.Name)
	return nil
}

func (p *Provisioner) delete(volume *corev1.PersistentVolume) error {
	if err := checkName(volume.Name); err != nil {
		return err
	}
	if volume.Spec.HostPath == nil {
		return errors.New("it is no hostPath volume")
	}
	if own := filepath.Join(p.path, volume.Name); volume.Spec.HostPath.Path != own {
		return fmt.Errorf("its path %q is not %q, so it was not made here: delete it by hand", volume.Spec.HostPath.Path, own)
	}
	if err := p.root.RemoveAll(volume.Name); err != nil {
		return fmt.Errorf("remove its directory: %w", err)
	}
	return nil
}

// checkName refuses what is not exactly one element of a path.
func checkName(name string) error {
	if name == "" || name == "." || !filepath.IsLocal(name) || filepath.Base(name) != name {
		return fmt.Errorf("the name %q cannot be a directory below the root", name)
	}
	return nil
}
