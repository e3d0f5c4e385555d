package hostpath_test

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/sig-storage-lib-external-provisioner/v13/controller"

	"github.com/ft-services/ft-services/tools/cluster/addons/provisioner/internal/hostpath"
)

const volumeName = "pvc-0b9d7b0e"

func newProvisioner(t *testing.T) (*hostpath.Provisioner, string) {
	t.Helper()
	root := filepath.Join(t.TempDir(), "volumes")
	p, err := hostpath.New(root)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, p.Close()) })
	return p, root
}

func request(name string) controller.ProvisionOptions {
	policy := corev1.PersistentVolumeReclaimDelete
	return controller.ProvisionOptions{
		StorageClass: &storagev1.StorageClass{ReclaimPolicy: &policy},
		PVName:       name,
		PVC: &corev1.PersistentVolumeClaim{
			ObjectMeta: metav1.ObjectMeta{Namespace: "ft-services", Name: "mysql"},
			Spec: corev1.PersistentVolumeClaimSpec{
				AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
				Resources: corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{
					corev1.ResourceStorage: resource.MustParse("1Gi"),
				}},
			},
		},
	}
}

func volumeAt(name, path string) *corev1.PersistentVolume {
	return &corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: corev1.PersistentVolumeSpec{PersistentVolumeSource: corev1.PersistentVolumeSource{
			HostPath: &corev1.HostPathVolumeSource{Path: path}}},
	}
}

func TestProvision(t *testing.T) {
	previous := syscall.Umask(0o077)
	defer syscall.Umask(previous)
	p, root := newProvisioner(t)
	volume, state, err := p.Provision(t.Context(), request(volumeName))
	require.NoError(t, err)
	assert.Equal(t, controller.ProvisioningFinished, state)

	path := filepath.Join(root, volumeName)
	assert.Equal(t, volumeName, volume.Name)
	assert.Equal(t, path, volume.Spec.HostPath.Path)
	assert.Equal(t, corev1.HostPathDirectory, *volume.Spec.HostPath.Type, "a directory that got lost must not come back empty")
	assert.Equal(t, corev1.PersistentVolumeReclaimDelete, volume.Spec.PersistentVolumeReclaimPolicy)
	assert.Equal(t, []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}, volume.Spec.AccessModes)
	assert.Equal(t, "1Gi", volume.Spec.Capacity.Storage().String())

	for path, mode := range map[string]os.FileMode{path: 0o777, root: 0o700} {
		info, err := os.Stat(path)
		require.NoError(t, err)
		assert.Equal(t, mode, info.Mode().Perm(), path)
	}
}

func TestProvisionAgainKeepsTheData(t *testing.T) {
	p, root := newProvisioner(t)
	first, _, err := p.Provision(t.Context(), request(volumeName))
	require.NoError(t, err)
	file := filepath.Join(root, volumeName, "ibdata1")
	require.NoError(t, os.WriteFile(file, []byte("rows"), 0o600))
	second, _, err := p.Provision(t.Context(), request(volumeName))
	require.NoError(t, err)
	assert.Equal(t, first, second)
	assert.FileExists(t, file)
}

func TestProvisionRefuses(t *testing.T) {
	p, root := newProvisioner(t)
	for _, name := range []string{"", ".", "..", "../escape", "a/b", "/etc", "a/../b", "a/"} {
		_, state, err := p.Provision(t.Context(), request(name))
		require.ErrorContains(t, err, "cannot be a directory below the root", "%q", name)
		assert.Equal(t, controller.ProvisioningFinished, state)
	}
	selecting := request(volumeName)
	selecting.PVC.Spec.Selector = &metav1.LabelSelector{}
	_, _, err := p.Provision(t.Context(), selecting)
	require.ErrorContains(t, err, "claim ft-services/mysql: spec.selector")

	classless := request(volumeName)
	classless.StorageClass.ReclaimPolicy = nil
	_, _, err = p.Provision(t.Context(), classless)
	require.ErrorContains(t, err, "no reclaimPolicy")

	outside := t.TempDir()
	require.NoError(t, os.Chmod(outside, 0o700))
	require.NoError(t, os.Symlink(outside, filepath.Join(root, "link")))
	_, _, err = p.Provision(t.Context(), request("link"))
	require.ErrorContains(t, err, "not a directory")
	info, err := os.Stat(outside)
	require.NoError(t, err)
	assert.EqualValues(t, 0o700, info.Mode().Perm(), "what a link points to is left alone")

	entries, err := os.ReadDir(root)
	require.NoError(t, err)
	assert.Len(t, entries, 1, "what was refused left nothing")
}

func TestDelete(t *testing.T) {
	p, root := newProvisioner(t)
	volume, _, err := p.Provision(t.Context(), request(volumeName))
	require.NoError(t, err)
	other, _, err := p.Provision(t.Context(), request("pvc-other"))
	require.NoError(t, err)
	deep := filepath.Join(root, volumeName, "a", "b")
	require.NoError(t, os.MkdirAll(deep, 0o755))
	precious := filepath.Join(t.TempDir(), "precious")
	require.NoError(t, os.WriteFile(precious, nil, 0o600))
	require.NoError(t, os.Symlink(filepath.Dir(precious), filepath.Join(deep, "link")))

	for range 2 {
		require.NoError(t, p.Delete(t.Context(), volume), "again is harmless")
		assert.NoDirExists(t, filepath.Join(root, volumeName))
	}
	assert.FileExists(t, precious, "a link in a volume is removed, not followed")
	assert.DirExists(t, other.Spec.HostPath.Path)
}

func TestDeleteRefuses(t *testing.T) {
	p, root := newProvisioner(t)
	outside := filepath.Join(filepath.Dir(root), "outside")
	require.NoError(t, os.Mkdir(outside, 0o755))
	_, _, err := p.Provision(t.Context(), request("pvc-other"))
	require.NoError(t, err)

	tests := map[string]struct {
		volume *corev1.PersistentVolume
		want   string
	}{
		"a name that leads out":    {volumeAt("../outside", outside), "cannot be a directory below the root"},
		"the root itself":          {volumeAt(".", root), "cannot be a directory below the root"},
		"a path outside the root":  {volumeAt("outside", outside), "was not made here"},
		"another volume's path":    {volumeAt(volumeName, filepath.Join(root, "pvc-other")), "was not made here"},
		"a path that is not clean": {volumeAt("outside", root+"/../outside"), "was not made here"},
		"no path":                  {&corev1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Name: volumeName}}, "no hostPath volume"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			require.ErrorContains(t, p.Delete(t.Context(), test.volume), test.want)
			assert.DirExists(t, outside)
			assert.DirExists(t, filepath.Join(root, "pvc-other"))
		})
	}
}

func TestNew(t *testing.T) {
	_, err := hostpath.New("volumes")
	require.ErrorContains(t, err, "not an absolute path")

	open := t.TempDir()
	require.NoError(t, os.Chmod(open, 0o755))
	_, err = hostpath.New(open)
	require.ErrorContains(t, err, "is open to others (mode 0755)")

	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	_, err = hostpath.New(file)
	require.ErrorContains(t, err, "open the root of the volumes")

	for range 2 {
		p, err := hostpath.New(filepath.Join(open, "deep", "volumes"))
		require.NoError(t, err, "a second start finds what the first one made")
		require.NoError(t, p.Close())
	}
}
