// Package grafana_test keeps the dashboards and what Telegraf writes together: a panel that asks for
// a field that nobody writes shows nothing, and no other check would notice.
package grafana_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/kustomize/kyaml/yaml"
)

type dashboard struct {
	UID    string `json:"uid"`
	Title  string `json:"title"`
	Panels []struct {
		ID         int    `json:"id"`
		Title      string `json:"title"`
		Datasource struct {
			UID string `json:"uid"`
		} `json:"datasource"`
		Targets []struct {
			Query string `json:"query"`
		} `json:"targets"`
	} `json:"panels"`
}

// testdata/series.json is what an InfluxDB held that the real Telegraf had filled with
// ../telegraf/config and ../telegraf-node/config.
type measurement struct {
	Tags   []string `json:"tags"`
	Fields []string `json:"fields"`
}

var (
	from       = regexp.MustCompile(`FROM "(\w+)"`)
	alias      = regexp.MustCompile(`AS "(\w+)"`)
	identifier = regexp.MustCompile(`"(\w+)"`)
)

func TestDashboards(t *testing.T) {
	written := decode[map[string]measurement](t, "testdata/series.json")
	sources := sourceUIDs(t)
	listed := read(t, "kustomization.yaml")
	files, err := filepath.Glob("config/dashboards/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("no dashboards found: %v", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			d := decode[dashboard](t, file)
			// The file's name is the identity, hence unique, and links and bookmarks stay valid.
			if want := strings.TrimSuffix(filepath.Base(file), ".json"); d.UID != want {
				t.Errorf("uid is %q, want the file's name %q", d.UID, want)
			}
			if !strings.Contains(listed, "- "+filepath.ToSlash(file)+"\n") {
				t.Error("kustomization.yaml does not put it into the ConfigMap")
			}
			ids := map[int]bool{}
			for _, p := range d.Panels {
				if ids[p.ID] {
					t.Errorf("panel %q: id %d is used twice", p.Title, p.ID)
				}
				ids[p.ID] = true
				if !slices.Contains(sources, p.Datasource.UID) {
					t.Errorf("panel %q: no data source %q is provisioned", p.Title, p.Datasource.UID)
				}
				if len(p.Targets) == 0 {
					t.Errorf("panel %q asks nothing", p.Title)
				}
				for _, target := range p.Targets {
					for _, missing := range unknown(target.Query, written) {
						t.Errorf("panel %q: Telegraf does not write %q: %s", p.Title, missing, target.Query)
					}
				}
			}
		})
	}
}

// unknown returns the names in a query that are no field or tag of the measurement it reads.
func unknown(query string, written map[string]measurement) []string {
	m := from.FindStringSubmatch(query)
	if m == nil {
		return []string{"FROM"}
	}
	known := append([]string{m[1]}, written[m[1]].Tags...)
	known = append(known, written[m[1]].Fields...)
	for _, a := range alias.FindAllStringSubmatch(query, -1) {
		known = append(known, a[1])
	}
	if _, ok := written[m[1]]; !ok {
		return []string{m[1]}
	}
	var missing []string
	for _, name := range identifier.FindAllStringSubmatch(query, -1) {
		if !slices.Contains(known, name[1]) {
			missing = append(missing, name[1])
		}
	}
	return missing
}

func sourceUIDs(t *testing.T) []string {
	t.Helper()
	var file struct {
		Datasources []struct {
			UID string `yaml:"uid"`
		} `yaml:"datasources"`
	}
	if err := yaml.Unmarshal([]byte(read(t, "config/datasources.yaml")), &file); err != nil {
		t.Fatal(err)
	}
	var uids []string
	for _, source := range file.Datasources {
		uids = append(uids, source.UID)
	}
	return uids
}

func decode[T any](t *testing.T, file string) T {
	t.Helper()
	var v T
	if err := json.Unmarshal([]byte(read(t, file)), &v); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return v
}

func read(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
