package pod

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

const (
	tokenVolume  = "kube-api-access"
	tokenFolder  = "/var/run/secrets/kubernetes.io/serviceaccount"
	snapshotName = "..snapshot"
)

// payload is a file of a ConfigMap, Secret or token: path below the mount, content, mode.
type payload struct {
	path string
	data []byte
	mode fs.FileMode
}

// volumes makes the directories of one pod's volumes.
type volumes struct {
	config    *Config
	namespace string
	directory string // on a disk
	memory    string // on a tmpfs
	group     int    // fsGroup, or -1
}

// make returns the directory of each volume by its name.
func (v *volumes) make(pod *corev1.PodSpec) (map[string]string, error) {
	directories := map[string]string{}
	for _, volume := range pod.Volumes {
		directory, err := v.one(volume)
		if err != nil {
			return nil, fmt.Errorf("volume %s: %w", volume.Name, err)
		}
		directories[volume.Name] = directory
	}
	return directories, nil
}

func (v *volumes) one(volume corev1.Volume) (string, error) {
	switch source := volume.VolumeSource; {
	case source.EmptyDir != nil:
		return v.emptyDir(volume.Name, source.EmptyDir)
	case source.PersistentVolumeClaim != nil:
		directory, found := v.config.Claims[source.PersistentVolumeClaim.ClaimName]
		if !found {
			return "", fmt.Errorf("no directory for the claim %s", source.PersistentVolumeClaim.ClaimName)
		}
		return directory, v.own(directory, 0o775)
	case source.HostPath != nil:
		return source.HostPath.Path, nil
	case source.ConfigMap != nil:
		files, err := v.configMap(source.ConfigMap.Name, source.ConfigMap.Items, modeOf(source.ConfigMap.DefaultMode))
		if err != nil {
			return "", err
		}
		return v.project(filepath.Join(v.directory, volume.Name), files)
	case source.Secret != nil:
		files, err := v.secret(source.Secret.SecretName, source.Secret.Items, modeOf(source.Secret.DefaultMode))
		if err != nil {
			return "", err
		}
		return v.project(filepath.Join(v.memory, volume.Name), files)
	case source.Projected != nil:
		files, err := v.projected(source.Projected)
		if err != nil {
			return "", err
		}
		return v.project(filepath.Join(v.memory, volume.Name), files)
	}
	return "", errors.New("its kind is not supported here")
}

func (v *volumes) projected(source *corev1.ProjectedVolumeSource) ([]payload, error) {
	var files []payload
	for _, part := range source.Sources {
		var some []payload
		var err error
		switch {
		case part.Secret != nil:
			some, err = v.secret(part.Secret.Name, part.Secret.Items, modeOf(source.DefaultMode))
		case part.ConfigMap != nil:
			some, err = v.configMap(part.ConfigMap.Name, part.ConfigMap.Items, modeOf(source.DefaultMode))
		default:
			err = errors.New("a projected source is neither a Secret nor a ConfigMap")
		}
		if err != nil {
			return nil, err
		}
		files = append(files, some...)
	}
	return files, nil
}

func (v *volumes) configMap(name string, items []corev1.KeyToPath, mode fs.FileMode) ([]payload, error) {
	object, found := v.config.Manifests.ConfigMaps[types.NamespacedName{Namespace: v.namespace, Name: name}]
	if !found {
		return nil, fmt.Errorf("the overlay has no ConfigMap %s in %s", name, v.namespace)
	}
	data := map[string][]byte{}
	for key, text := range object.Data {
		data[key] = []byte(text)
	}
	for key, bytes := range object.BinaryData {
		data[key] = bytes
	}
	return pick("ConfigMap "+name, data, items, mode)
}

func (v *volumes) secret(name string, items []corev1.KeyToPath, mode fs.FileMode) ([]payload, error) {
	data, found := v.config.Secrets[name]
	if !found {
		return nil, fmt.Errorf("nobody has made the Secret %s", name)
	}
	return pick("Secret "+name, data, items, mode)
}

func pick(object string, data map[string][]byte, items []corev1.KeyToPath, mode fs.FileMode) ([]payload, error) {
	if len(items) == 0 {
		for key := range data {
			items = append(items, corev1.KeyToPath{Key: key, Path: key})
		}
	}
	var files []payload
	for _, item := range items {
		value, found := data[item.Key]
		if !found {
			return nil, fmt.Errorf("%s has no key %s", object, item.Key)
		}
		file := payload{item.Path, value, mode}
		if item.Mode != nil {
			file.mode = modeOf(item.Mode)
		}
		files = append(files, file)
	}
	return files, nil
}

func modeOf(mode *int32) fs.FileMode {
	if mode == nil {
		return 0o644
	}
	return fs.FileMode(*mode).Perm()
}

// project writes files the way a kubelet does: in a hidden directory, reached by a link that an update
// would replace. Servers see symbolic links, and some do not like them.
func (v *volumes) project(directory string, files []payload) (string, error) {
	snapshot := filepath.Join(directory, snapshotName)
	if err := os.MkdirAll(snapshot, 0o755); err != nil {
		return "", err
	}
	if err := os.Symlink(snapshotName, filepath.Join(directory, "..data")); err != nil {
		return "", err
	}
	var linked []string
	for _, file := range files {
		name := filepath.Join(snapshot, filepath.FromSlash(file.path))
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			return "", err
		}
		if err := os.WriteFile(name, file.data, 0o600); err != nil {
			return "", err
		}
		if err := v.own(name, file.mode|0o440); err != nil {
			return "", err
		}
		first, _, _ := strings.Cut(file.path, "/")
		if slices.Contains(linked, first) {
			continue
		}
		linked = append(linked, first)
		if err := os.Symlink(filepath.Join("..data", first), filepath.Join(directory, first)); err != nil {
			return "", err
		}
	}
	err := filepath.WalkDir(snapshot, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.IsDir() {
			return err
		}
		return v.own(name, 0o755)
	})
	if err != nil {
		return "", err
	}
	return directory, v.own(directory, 0o777)
}

// own gives a file or directory to root and the pod's group, which directories pass on.
func (v *volumes) own(name string, mode fs.FileMode) error {
	info, err := os.Stat(name)
	if err != nil {
		return err
	}
	if v.group >= 0 {
		if err := os.Chown(name, 0, v.group); err != nil {
			return err
		}
		if info.IsDir() {
			mode |= fs.ModeSetgid
		}
	}
	return os.Chmod(name, mode)
}

func (v *volumes) emptyDir(name string, source *corev1.EmptyDirVolumeSource) (string, error) {
	directory := filepath.Join(v.directory, name)
	if err := os.Mkdir(directory, 0o700); err != nil {
		return "", err
	}
	if source.Medium == corev1.StorageMediumMemory {
		options := ""
		if source.SizeLimit != nil {
			options = fmt.Sprintf("size=%d", source.SizeLimit.Value())
		}
		if err := mountTmpfs(directory, options); err != nil {
			return "", err
		}
	}
	return directory, v.own(directory, 0o777)
}

// token writes what a kubelet mounts for a pod with a ServiceAccount's token.
func (v *volumes) token(account *ServiceAccount) (string, error) {
	return v.project(filepath.Join(v.memory, tokenVolume), []payload{
		{"token", []byte(account.Token), 0o644},
		{"ca.crt", account.CA, 0o644},
		{"namespace", []byte(v.namespace), 0o644},
	})
}

func mountTmpfs(directory, options string) error {
	if err := unix.Mount("tmpfs", directory, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, options); err != nil {
		return fmt.Errorf("mounting memory at %s: %w", directory, err)
	}
	return nil
}
