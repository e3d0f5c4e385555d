package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/ft-services/ft-services/tools/cluster/addons/provisioner/internal/hostpath"
)

func TestCommandLine(t *testing.T) {
	open := t.TempDir()
	require.NoError(t, os.Chmod(open, 0o755))
	private := filepath.Join(open, "private")
	tests := map[string]struct {
		args []string
		code int
		want string
	}{
		"nothing":         {nil, 2, "--kubeconfig and --root are needed"},
		"a relative root": {[]string{"--kubeconfig", "k", "--root", "volumes"}, 2, "not an absolute path"},
		"an open root":    {[]string{"--kubeconfig", "k", "--root", open}, 1, "is open to others"},
		"no kubeconfig":   {[]string{"--kubeconfig", "/nowhere/kubeconfig", "--root", private}, 1, "read the kubeconfig /nowhere/kubeconfig"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			assert.Equal(t, test.code, newProgram().Main(test.args, &stdout, &stderr))
			assert.Contains(t, stderr.String(), test.want)
		})
	}
}

// A claim gets a volume, and the volume goes when it is released.
func TestServe(t *testing.T) {
	reclaim, class := corev1.PersistentVolumeReclaimDelete, "standard"
	client := fake.NewClientset(
		&storagev1.StorageClass{ObjectMeta: metav1.ObjectMeta{Name: class}, Provisioner: hostpath.Name, ReclaimPolicy: &reclaim},
		&corev1.PersistentVolumeClaim{
			ObjectMeta: metav1.ObjectMeta{
				Namespace: "ft-services", Name: "mysql", UID: "1234",
				// The cluster's own controller writes it, to call the provisioner.
				Annotations: map[string]string{"volume.kubernetes.io/storage-provisioner": hostpath.Name},
			},
			Spec: corev1.PersistentVolumeClaimSpec{
				StorageClassName: &class,
				AccessModes:      []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
				Resources: corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{
					corev1.ResourceStorage: resource.MustParse("1Gi"),
				}},
			},
		})
	root := filepath.Join(t.TempDir(), "volumes")
	volumes, err := hostpath.New(root)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		serve(ctx, client, volumes)
		close(done)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
		require.NoError(t, volumes.Close())
	})

	var volume *corev1.PersistentVolume
	require.Eventually(t, func() bool {
		volume, err = client.CoreV1().PersistentVolumes().Get(t.Context(), "pvc-1234", metav1.GetOptions{})
		return err == nil
	}, 10*time.Second, 20*time.Millisecond)
	assert.Equal(t, "mysql", volume.Spec.ClaimRef.Name)
	assert.DirExists(t, filepath.Join(root, "pvc-1234"))

	volume.Status.Phase = corev1.VolumeReleased
	_, err = client.CoreV1().PersistentVolumes().Update(t.Context(), volume, metav1.UpdateOptions{})
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		_, err := client.CoreV1().PersistentVolumes().Get(t.Context(), "pvc-1234", metav1.GetOptions{})
		return apierrors.IsNotFound(err)
	}, 10*time.Second, 20*time.Millisecond)
	assert.NoDirExists(t, filepath.Join(root, "pvc-1234"))
}
