package pod

import (
	"archive/tar"
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
)

func modePointer(mode int32) *int32 { return &mode }

func testVolumes(t *testing.T) *volumes {
	t.Helper()
	return &volumes{
		config: &Config{
			Manifests: &Manifests{ConfigMaps: map[types.NamespacedName]*corev1.ConfigMap{
				{Namespace: "site", Name: "web"}: {
					ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: "site"},
					Data:       map[string]string{"a.conf": "A", "b.conf": "B"},
				},
			}},
			Secrets: map[string]map[string][]byte{"account": {"username": []byte("u"), "password": []byte("p")}},
		},
		namespace: "site",
		directory: t.TempDir(),
		memory:    t.TempDir(),
		group:     -1, // another group needs root
	}
}

func TestVolumesOfFiles(t *testing.T) {
	type file struct {
		content string
		mode    fs.FileMode
	}
	for name, test := range map[string]struct {
		source corev1.VolumeSource
		want   map[string]file
	}{
		"all keys of a ConfigMap": {
			corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: "web"}}},
			map[string]file{"a.conf": {"A", 0o644}, "b.conf": {"B", 0o644}},
		},
		"chosen keys, in folders": {
			corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{
				LocalObjectReference: corev1.LocalObjectReference{Name: "web"},
				Items:                []corev1.KeyToPath{{Key: "a.conf", Path: "deep/er/x"}, {Key: "b.conf", Path: "deep/y", Mode: modePointer(0o555)}},
			}},
			map[string]file{"deep/er/x": {"A", 0o644}, "deep/y": {"B", 0o555}},
		},
		"a Secret": {
			corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: "account", DefaultMode: modePointer(0o440)}},
			map[string]file{"username": {"u", 0o440}, "password": {"p", 0o440}},
		},
		"several in one": {
			corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{
				DefaultMode: modePointer(0o440),
				Sources: []corev1.VolumeProjection{
					{Secret: &corev1.SecretProjection{
						LocalObjectReference: corev1.LocalObjectReference{Name: "account"},
						Items:                []corev1.KeyToPath{{Key: "password", Path: "db/password"}},
					}},
					{ConfigMap: &corev1.ConfigMapProjection{LocalObjectReference: corev1.LocalObjectReference{Name: "web"}}},
				},
			}},
			map[string]file{"db/password": {"p", 0o440}, "a.conf": {"A", 0o440}, "b.conf": {"B", 0o440}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			v := testVolumes(t)
			directories, err := v.make(&corev1.PodSpec{Volumes: []corev1.Volume{{Name: "v", VolumeSource: test.source}}})
			require.NoError(t, err)
			directory := directories["v"]
			got := map[string]file{}
			snapshot := filepath.Join(directory, snapshotName)
			require.NoError(t, filepath.WalkDir(snapshot, func(name string, entry fs.DirEntry, err error) error {
				if err != nil || entry.IsDir() {
					return err
				}
				inside, err := filepath.Rel(snapshot, name)
				require.NoError(t, err)
				// Read as a server would: through the links.
				content, err := os.ReadFile(filepath.Join(directory, inside))
				require.NoError(t, err)
				info, err := entry.Info()
				require.NoError(t, err)
				got[inside] = file{string(content), info.Mode().Perm()}
				return nil
			}))
			assert.Equal(t, test.want, got)
			for name := range test.want {
				top, err := os.Lstat(filepath.Join(directory, topOf(name)))
				require.NoError(t, err, name)
				assert.NotZero(t, top.Mode()&fs.ModeSymlink, "%s is a link, as a kubelet makes it", name)
			}
		})
	}
}

func topOf(name string) string {
	for parent := filepath.Dir(name); parent != "."; parent = filepath.Dir(name) {
		name = parent
	}
	return name
}

func TestVolumesRefuse(t *testing.T) {
	for name, test := range map[string]struct {
		source corev1.VolumeSource
		want   string
	}{
		"unknown ConfigMap": {
			corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: "none"}}},
			"no ConfigMap none in site",
		},
		"unknown Secret": {corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: "none"}}, "Secret none"},
		"unknown key": {
			corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: "account", Items: []corev1.KeyToPath{{Key: "x", Path: "x"}}}},
			"Secret account has no key x",
		},
		"unknown claim": {
			corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "none"}}, "claim none",
		},
		"another kind": {corev1.VolumeSource{NFS: &corev1.NFSVolumeSource{}}, "not supported"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := testVolumes(t).make(&corev1.PodSpec{Volumes: []corev1.Volume{{Name: "v", VolumeSource: test.source}}})
			assert.ErrorContains(t, err, "volume v: ")
			assert.ErrorContains(t, err, test.want)
		})
	}
}

func TestUnpack(t *testing.T) {
	var archive bytes.Buffer
	writer := tar.NewWriter(&archive)
	for _, header := range []*tar.Header{
		// The last layer comes first: before its folder, and a hard link before its target.
		{Name: "usr/bin/tool", Typeflag: tar.TypeReg, Mode: 0o755, Size: 4},
		{Name: "usr/bin/alias", Typeflag: tar.TypeLink, Linkname: "usr/bin/old"},
		{Name: "./usr/", Typeflag: tar.TypeDir, Mode: 0o750},
		{Name: "bin", Typeflag: tar.TypeSymlink, Linkname: "usr/bin"},
		{Name: "usr/bin/old", Typeflag: tar.TypeReg, Mode: 0o700, Size: 4},
		{Name: "dev/null", Typeflag: tar.TypeChar, Devmajor: 1, Devminor: 3},
	} {
		header.Uid, header.Gid = os.Getuid(), os.Getgid()
		require.NoError(t, writer.WriteHeader(header))
		if header.Size > 0 {
			_, err := writer.Write([]byte("text"))
			require.NoError(t, err)
		}
	}
	require.NoError(t, writer.Close())
	root := filepath.Join(t.TempDir(), "root")
	require.NoError(t, unpack(&archive, root))

	for name, mode := range map[string]fs.FileMode{"usr/bin/tool": 0o755, "bin/tool": 0o755, "usr/bin/alias": 0o700} {
		info, err := os.Stat(filepath.Join(root, name))
		require.NoError(t, err)
		assert.Equal(t, mode, info.Mode(), name)
	}
	usr, err := os.Stat(filepath.Join(root, "usr"))
	require.NoError(t, err)
	assert.Equal(t, fs.FileMode(0o750), usr.Mode().Perm())
	assert.NoFileExists(t, filepath.Join(root, "dev/null"))
}

func TestUnpackStaysInside(t *testing.T) {
	outside := t.TempDir()
	var archive bytes.Buffer
	writer := tar.NewWriter(&archive)
	require.NoError(t, writer.WriteHeader(&tar.Header{Name: "way", Typeflag: tar.TypeSymlink, Linkname: outside, Uid: os.Getuid(), Gid: os.Getgid()}))
	require.NoError(t, writer.WriteHeader(&tar.Header{Name: "way/out", Typeflag: tar.TypeReg, Mode: 0o644}))
	require.NoError(t, writer.Close())
	assert.ErrorContains(t, unpack(&archive, filepath.Join(t.TempDir(), "root")), "entry way/out")
	assert.NoFileExists(t, filepath.Join(outside, "out"))
}

func TestRender(t *testing.T) {
	m, err := Render("../../../../overlays/minikube")
	require.NoError(t, err)
	for _, name := range []string{
		"credentials", "nginx", "ftps", "mysql", "influxdb", "wordpress", "phpmyadmin", "telegraf", "telegraf-node", "grafana",
	} {
		workload, found := m.Workloads[name]
		require.True(t, found, name)
		pod := workload.Template.Spec
		s := around()
		s.volumes = map[string]string{}
		for _, volume := range pod.Volumes {
			s.volumes[volume.Name] = "/outside/" + volume.Name
		}
		for _, list := range [][]corev1.Container{pod.InitContainers, pod.Containers} {
			for i := range list {
				_, err := containerSpec(&pod, &list[i], s)
				assert.NoError(t, err, "%s/%s", name, list[i].Name)
			}
		}
	}
	assert.Subset(t, m.HostNames(), []string{"mysql", "mysql.ft-services", "influxdb.ft-services.svc.cluster.local"})
}

func TestLoadImageWithoutArchive(t *testing.T) {
	_, err := loadImage(filepath.Join(t.TempDir(), "web.oci.tar"), "localhost/site/web:1", t.TempDir())
	require.ErrorIs(t, err, ErrNoArchive)
	assert.ErrorContains(t, err, "make images")
}

func TestPorts(t *testing.T) {
	spec := &corev1.Container{Name: "web", Ports: []corev1.ContainerPort{{Name: "https", ContainerPort: 443}}}
	for name, test := range map[string]struct {
		port intstr.IntOrString
		want int
	}{"named": {intstr.FromString("https"), 443}, "numbered": {intstr.FromInt32(80), 80}} {
		t.Run(name, func(t *testing.T) {
			got, err := portOf(spec, test.port)
			require.NoError(t, err)
			assert.Equal(t, test.want, got)
		})
	}
	_, err := portOf(spec, intstr.FromString("none"))
	assert.ErrorContains(t, err, "no port named none")
}
