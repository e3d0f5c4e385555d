// Package deploy applies an overlay as it is in git, waits until it runs, and says how to reach it. It knows a cluster
// only through kubectl, so it serves any.
package deploy

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"

	"github.com/ft-services/ft-services/tools/cluster/internal/addon"
	"github.com/ft-services/ft-services/tools/cluster/internal/progress"
)

// Kubectl runs kubectl against the cluster and returns what it prints; an error holds what it complains about.
type Kubectl func(ctx context.Context, args ...string) ([]byte, error)

// Deployer deploys to one cluster.
type Deployer struct {
	Kubectl Kubectl
	// Check may end a wait early, with the reason why waiting is of no use; it may be nil.
	Check func() error
	Log   *progress.Log
}

// Workload is something that runs pods.
type Workload struct {
	Kind, Namespace, Name string
	Images                []string
}

func (w Workload) String() string { return w.Namespace + "/" + w.Name }

// Workloads returns the workloads of an overlay.
func Workloads(overlay string) ([]Workload, error) {
	rendered, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), overlay)
	if err != nil {
		return nil, fmt.Errorf("render %s: %w", overlay, err)
	}
	manifests, err := rendered.AsYaml()
	if err != nil {
		return nil, fmt.Errorf("render %s: %w", overlay, err)
	}
	return ParseWorkloads(manifests)
}

// ParseWorkloads returns the workloads among rendered manifests.
func ParseWorkloads(manifests []byte) ([]Workload, error) {
	objects, err := addon.Documents(manifests)
	if err != nil {
		return nil, fmt.Errorf("read rendered manifests: %w", err)
	}
	var workloads []Workload
	for _, object := range objects {
		kind, _ := object["kind"].(string)
		if !slices.Contains([]string{"Deployment", "DaemonSet", "StatefulSet"}, kind) {
			continue
		}
		metadata, _ := object["metadata"].(map[string]any)
		name, _ := metadata["name"].(string)
		namespace, _ := metadata["namespace"].(string)
		workloads = append(workloads, Workload{Kind: kind, Namespace: namespace, Name: name, Images: addon.PodImages(object)})
	}
	return workloads, nil
}

// Split separates the workloads whose images are all there from the others; for those it says which image is missing.
func Split(workloads []Workload, present []string) (complete []Workload, missing map[string][]Workload) {
	missing = map[string][]Workload{}
	for _, workload := range workloads {
		absent := slices.IndexFunc(workload.Images, func(image string) bool { return !slices.Contains(present, image) })
		if absent < 0 {
			complete = append(complete, workload)
		} else {
			missing[workload.Images[absent]] = append(missing[workload.Images[absent]], workload)
		}
	}
	return complete, missing
}

// Archives returns, by image name, the archives in a folder that hold one of the wanted images.
func Archives(folder string, wanted []string) (map[string]string, error) {
	files, err := filepath.Glob(filepath.Join(folder, "*.oci.tar"))
	if err != nil {
		return nil, fmt.Errorf("find images in %s: %w", folder, err)
	}
	found := map[string]string{}
	for _, file := range files {
		tags, err := Tags(file)
		if err != nil {
			return nil, err
		}
		for _, tag := range tags {
			if slices.Contains(wanted, tag) {
				found[tag] = file
			}
		}
	}
	return found, nil
}

// Tags returns the names of the images in an archive.
func Tags(file string) ([]string, error) {
	manifest, err := tarball.LoadManifest(func() (io.ReadCloser, error) { return os.Open(file) })
	if err != nil {
		return nil, fmt.Errorf("read image archive %s: %w; build it again", file, err)
	}
	var tags []string
	for _, image := range manifest {
		tags = append(tags, image.RepoTags...)
	}
	return tags, nil
}

// apply applies an overlay once. What stands in the way of some objects does not keep kubectl from applying the others.
func (d *Deployer) apply(ctx context.Context, overlay string) error {
	_, err := d.Kubectl(ctx, "apply", "-k", overlay)
	return err
}

// retry applies an overlay until nothing transient is in the way any more.
func (d *Deployer) retry(ctx context.Context, overlay string) error {
	return progress.Until(ctx, "the overlay "+overlay+" to be applied", 2*time.Minute, 2*time.Second, func(ctx context.Context) error {
		err := d.apply(ctx, overlay)
		if err != nil && !Transient(err) {
			return progress.Stop(err)
		}
		return err
	})
}

// Transient tells whether an error of kubectl may go away by itself: a webhook that does not answer yet, or a kind
// whose definition was applied a moment ago.
func Transient(err error) bool {
	text := err.Error()
	for _, sign := range []string{"failed calling webhook", "no matches for kind", "connection refused", "i/o timeout"} {
		if strings.Contains(text, sign) {
			return true
		}
	}
	return false
}

type object struct {
	Kind     string `json:"kind"`
	Metadata struct {
		Name, Namespace string
		Generation      int64
	} `json:"metadata"`
	Spec struct {
		Replicas *int64
		Type     string
		Ports    []struct {
			Port     int
			Protocol string
		}
	} `json:"spec"`
	Status struct {
		ObservedGeneration                                                           int64
		UpdatedReplicas, AvailableReplicas, Replicas                                 int64
		DesiredNumberScheduled, UpdatedNumberScheduled, NumberAvailable, NumberReady int64
		LoadBalancer                                                                 struct {
			Ingress []struct{ IP string }
		}
	} `json:"status"`
}

// ready tells whether a workload's newest version runs completely.
func (o object) ready() bool {
	if o.Status.ObservedGeneration < o.Metadata.Generation {
		return false
	}
	if o.Kind == "DaemonSet" {
		want := o.Status.DesiredNumberScheduled
		return o.Status.UpdatedNumberScheduled == want && o.Status.NumberAvailable == want
	}
	want := int64(1)
	if o.Spec.Replicas != nil {
		want = *o.Spec.Replicas
	}
	return o.Status.UpdatedReplicas == want && o.Status.AvailableReplicas == want && o.Status.Replicas == want
}

func (d *Deployer) list(ctx context.Context, kinds string) ([]object, error) {
	output, err := d.Kubectl(ctx, "get", kinds, "--all-namespaces", "--output=json")
	if err != nil {
		return nil, err
	}
	var list struct{ Items []object }
	if err := json.Unmarshal(output, &list); err != nil {
		return nil, fmt.Errorf("read the list of %s: %w", kinds, err)
	}
	return list.Items, nil
}

// Ready returns the workloads that are Ready now.
func (d *Deployer) Ready(ctx context.Context) ([]Workload, error) {
	objects, err := d.list(ctx, "deployments,daemonsets,statefulsets")
	if err != nil {
		return nil, fmt.Errorf("see what is Ready: %w", err)
	}
	var workloads []Workload
	for _, object := range objects {
		if object.ready() {
			workloads = append(workloads, Workload{
				Kind: object.Kind, Namespace: object.Metadata.Namespace, Name: object.Metadata.Name,
			})
		}
	}
	return workloads, nil
}

// Wait waits until all workloads are Ready, and tells of each when it is.
func (d *Deployer) Wait(ctx context.Context, bound time.Duration, workloads []Workload) error {
	waiting := map[string]Workload{}
	for _, workload := range workloads {
		waiting[workload.Kind+"/"+workload.String()] = workload
	}
	err := progress.Until(ctx, "all workloads to be Ready", bound, time.Second, func(ctx context.Context) error {
		if d.Check != nil {
			if err := d.Check(); err != nil {
				return progress.Stop(err)
			}
		}
		objects, err := d.list(ctx, "deployments,daemonsets,statefulsets")
		if err != nil {
			return err
		}
		for _, object := range objects {
			key := object.Kind + "/" + object.Metadata.Namespace + "/" + object.Metadata.Name
			if workload, ok := waiting[key]; ok && object.ready() {
				d.Log.Step("%s is Ready", workload)
				delete(waiting, key)
			}
		}
		if len(waiting) > 0 {
			var names []string
			for _, workload := range waiting {
				names = append(names, workload.String())
			}
			slices.Sort(names)
			return fmt.Errorf("not Ready: %s", strings.Join(names, ", "))
		}
		return nil
	})
	if err != nil && ctx.Err() == nil {
		d.diagnose(ctx, waiting)
	}
	return err
}

// diagnose prints what is known of pods that do not become Ready.
func (d *Deployer) diagnose(ctx context.Context, waiting map[string]Workload) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	var namespaces []string
	for _, workload := range waiting {
		if !slices.Contains(namespaces, workload.Namespace) {
			namespaces = append(namespaces, workload.Namespace)
		}
	}
	show := func(args ...string) {
		output, err := d.Kubectl(ctx, args...)
		if err != nil {
			output = []byte(err.Error())
		}
		d.Log.Text("kubectl " + strings.Join(args, " ") + "\n" + string(output))
	}
	for _, namespace := range namespaces {
		show("get", "pods", "--namespace="+namespace, "--output=wide")
		show("get", "events", "--namespace="+namespace, "--field-selector=type=Warning", "--sort-by=.lastTimestamp")
	}
	for _, workload := range waiting {
		show("logs", "--namespace="+workload.Namespace, strings.ToLower(workload.Kind)+"/"+workload.Name,
			"--all-containers", "--prefix", "--tail=8", "--ignore-errors")
	}
}

// Address waits until every Service of type LoadBalancer has its address, and prints what is where.
func (d *Deployer) Address(ctx context.Context) error {
	var services []object
	err := progress.Until(ctx, "addresses of the load balancer", time.Minute, time.Second, func(ctx context.Context) error {
		all, err := d.list(ctx, "services")
		if err != nil {
			return err
		}
		services = slices.DeleteFunc(all, func(o object) bool { return o.Spec.Type != "LoadBalancer" })
		for _, service := range services {
			if len(service.Status.LoadBalancer.Ingress) == 0 {
				return fmt.Errorf("Service %s/%s has none", service.Metadata.Namespace, service.Metadata.Name)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	d.Log.Text(addresses(services))
	return nil
}

func addresses(services []object) string {
	var text bytes.Buffer
	table := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "\nSERVICE\tADDRESS\tPORTS")
	for _, service := range services {
		var ports []string
		for _, port := range service.Spec.Ports {
			ports = append(ports, fmt.Sprint(port.Port))
		}
		if len(ports) > 4 {
			ports = []string{ports[0], "…", fmt.Sprintf("(%d ports)", len(ports))}
		}
		fmt.Fprintf(table, "%s\t%s\t%s\n", service.Metadata.Name, service.Status.LoadBalancer.Ingress[0].IP, strings.Join(ports, " "))
	}
	_ = table.Flush()
	return text.String()
}

// Passwords returns the commands that show the passwords, for a kubectl that is called as given.
func Passwords(kubectl string) string {
	const all = ` -o go-template='{{range $k, $v := .data}}{{$k}}: {{$v | base64decode}}{{"\n"}}{{end}}'`
	text := "\nPasswords (they never leave the cluster by themselves):\n"
	for _, secret := range []string{"wordpress-users", "mysql-phpmyadmin", "grafana-admin", "ftps-users"} {
		text += "  " + kubectl + " get secret " + secret + all + "\n"
	}
	return text
}

// Plan is what is to be deployed.
type Plan struct {
	// Overlay is the folder, Workloads what it holds.
	Overlay   string
	Workloads []Workload
	// Images are those that are in the node.
	Images []string
	// Before must be Ready before the whole overlay can be applied, since they answer its webhooks; Also must be Ready
	// in the end.
	Before, Also []Workload
}

// Run applies an overlay and waits for what can run: a workload without its image is named and left.
func (d *Deployer) Run(ctx context.Context, plan Plan) error {
	complete, missing := Split(plan.Workloads, plan.Images)
	if len(complete) == 0 {
		return errors.New("deploy: the image of no workload is in the node; build them first (make images)")
	}
	d.Log.Step("applying %s", plan.Overlay)
	// At once, so that servers start while the webhook does.
	if err := d.apply(ctx, plan.Overlay); err != nil {
		if !Transient(err) {
			return err
		}
		if err := d.Wait(ctx, 3*time.Minute, plan.Before); err != nil {
			return err
		}
		if err := d.retry(ctx, plan.Overlay); err != nil {
			return err
		}
	}
	d.Log.Step("applied all of it")
	for _, image := range slices.Sorted(maps.Keys(missing)) {
		for _, workload := range missing[image] {
			d.Log.Step("%s is not waited for: its image %s was not built", workload, image)
		}
	}
	if err := d.Wait(ctx, 5*time.Minute, slices.Concat(plan.Before, plan.Also, complete)); err != nil {
		return err
	}
	if err := d.Address(ctx); err != nil {
		return err
	}
	for _, image := range slices.Sorted(maps.Keys(missing)) {
		for _, workload := range missing[image] {
			d.Log.Text(fmt.Sprintf("\n%s does not run: its image %s was not built. Build it and run `up` again.", workload, image))
		}
	}
	return nil
}

// Settled waits until no container is said to run that was started before the given time: such a report is from before
// the node was stopped.
func (d *Deployer) Settled(ctx context.Context, since time.Time) error {
	since = since.Truncate(time.Second)
	return progress.Until(ctx, "the kubelet to look at all pods", 2*time.Minute, time.Second, func(ctx context.Context) error {
		output, err := d.Kubectl(ctx, "get", "pods", "--all-namespaces", "--output=json")
		if err != nil {
			return err
		}
		pod, err := stale(output, since)
		if err == nil && pod != "" {
			err = fmt.Errorf("pod %s is still as before", pod)
		}
		return err
	})
}

// stale returns a pod with a container that runs since before the given time.
func stale(list []byte, since time.Time) (string, error) {
	var pods struct {
		Items []struct {
			Metadata struct{ Namespace, Name string }
			Status   struct {
				ContainerStatuses []struct {
					State struct {
						Running *struct{ StartedAt time.Time }
					}
				}
			}
		}
	}
	if err := json.Unmarshal(list, &pods); err != nil {
		return "", fmt.Errorf("read the list of pods: %w", err)
	}
	for _, pod := range pods.Items {
		for _, container := range pod.Status.ContainerStatuses {
			if container.State.Running != nil && container.State.Running.StartedAt.Before(since) {
				return pod.Metadata.Namespace + "/" + pod.Metadata.Name, nil
			}
		}
	}
	return "", nil
}
