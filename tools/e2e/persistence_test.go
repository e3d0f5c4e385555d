package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"image"
	"image/png"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"

	"github.com/ft-services/ft-services/tools/e2e/internal/ask"
	"github.com/ft-services/ft-services/tools/e2e/internal/stack"
	"github.com/ft-services/ft-services/tools/e2e/internal/standin"
)

func persistenceChecks() []check {
	return []check{
		{"R12 G9", "all data is there after every pod was deleted", func(t *test) {
			t.persists("all pods deleted", deletePods, stack.Services...)
		}},
		{"R12 G9", "all data is there after a rollout restart", func(t *test) {
			t.persists("rollout restart", restartRollouts, stack.Services...)
		}},
		{"R12 G9", "all data is there after Deployments were deleted and applied again", func(t *test) {
			t.persists("stateful Deployments deleted and applied again", applyDeployments, stateful...)
		}},
		{"R12 G9", "all data is there after the node was restarted", func(t *test) {
			if len(t.stack.Tool) == 0 {
				t.skip("no tools/cluster for this cluster")
			}
			t.persists("node restarted", restartNode)
		}},
	}
}

// stateful are the services that keep something.
var stateful = []string{"mysql", "influxdb", "ftps", "wordpress", "grafana"}

// persists writes to everything that keeps data, disturbs, and finds it all again. The named services have new pods
// then, none of whose containers may have crashed on its way, even if an old pod still had its volume; where none is
// named, every pod is the same but its containers have been started anew.
func (t *test) persists(what string, disturb func(*test), replaced ...string) {
	t.waitReady(2 * time.Minute)
	running := t.running()
	k := t.keep(slices.Contains(running, "grafana"))
	k.verify(t)

	pods := func() map[string]*corev1.Pod {
		found := map[string]*corev1.Pod{}
		for _, service := range running {
			pod, err := t.stack.Pod(t.Context(), service)
			require.NoError(t, err)
			found[service] = pod
		}
		return found
	}
	before := pods()
	begun := time.Now()
	disturb(t)
	t.waitReady(3*time.Minute, running...)
	for _, service := range running {
		require.NoError(t, stack.Until(t.Context(), service+" to serve", 30*time.Second, 200*time.Millisecond, func(ctx context.Context) error {
			return t.serves(ctx, service)
		}))
	}
	t.report.Measure("Recovery", what, seconds(time.Since(begun)))
	for service, pod := range pods() {
		switch {
		case len(replaced) == 0:
			assert.Equal(t, before[service].UID, pod.UID, "the pod of %s", service)
			for _, status := range pod.Status.ContainerStatuses {
				require.NotNil(t, status.State.Running, "%s/%s", service, status.Name)
				// The API server's times are whole seconds.
				assert.False(t, status.State.Running.StartedAt.Time.Before(begun.Truncate(time.Second)), "%s/%s was not started anew", service, status.Name)
			}
		case slices.Contains(replaced, service):
			assert.NotEqual(t, before[service].UID, pod.UID, "the pod of %s", service)
			assert.Zero(t, stack.Restarts(pod), "restarts of the new pod of %s", service)
		}
	}
	k.verify(t)
}

func deletePods(t *test) {
	args := []string{"delete", "pod"}
	for _, service := range stack.Services {
		pod, err := t.stack.Pod(t.Context(), service)
		require.NoError(t, err)
		args = append(args, pod.Name)
	}
	t.kubectl(args...)
}

func restartRollouts(t *test) {
	t.kubectl(append([]string{"rollout", "restart", "deployment"}, stack.Services...)...)
}

// applyDeployments does both at once, as people type it: the old pods still end.
func applyDeployments(t *test) {
	t.kubectl(append([]string{"delete", "deployment"}, stateful...)...)
	t.kubectl("apply", "--kustomize="+t.stack.Overlay)
}

func restartNode(t *test) {
	_, err := t.stack.Cluster(t.Context(), "restart")
	require.NoError(t, err)
}

// sql runs statements as WordPress, and returns the last one's rows.
func (t *test) sql(from *standin.Pod, statements ...string) [][]string {
	t.Helper()
	var rows [][]string
	require.NoError(t, from.Ask(t.Context(), "sql", ask.Request{
		Address: "mysql:3306", Database: "wordpress", Statements: statements,
		User: t.secret("mysql-wordpress", "username"), Password: t.secret("mysql-wordpress", "password"),
	}, &rows))
	return rows
}

// alice is the name of a file of hers, for curl: her password is in no argument.
func (t *test) alice(ctx context.Context, path string, args ...string) (string, error) {
	t.Helper()
	password, err := t.stack.Secret(ctx, "ftps-users", "alice")
	if err != nil {
		return "", err
	}
	config := fmt.Sprintf("user = \"alice:%s\"\n", password)
	args = append(args, "--silent", "--show-error", "--ssl-reqd", "--max-time", "10", "--cacert", t.authorityFile(), "--config", "-",
		"ftp://"+t.stack.Address.String()+"/"+path)
	return t.stack.Run(ctx, strings.NewReader(config), "curl", args...)
}

// points are the numbers in a measurement.
func (t *test) points(from *standin.Pod, measurement string) []int {
	t.Helper()
	read, err := results(t.influx(from, "influxdb-admin", "/query", "", influxQL(`SELECT "number" FROM "`+measurement+`"`)))
	require.NoError(t, err)
	var numbers []int
	for _, result := range read {
		for _, series := range result.Series {
			for _, row := range series.Values {
				numbers = append(numbers, int(row[1].(float64)))
			}
		}
	}
	return numbers
}

// kept is something in everything that keeps data.
type kept struct {
	// name is new, and that of all of it.
	name                string
	wordpress, telegraf *standin.Pod
	// author is logged in; her session is data too.
	author      *http.Client
	post, media wordpressItem
	picture     []byte
	grafana     bool
}

// wordpressItem is what the REST API says of a post or an upload.
type wordpressItem struct {
	ID        int
	Link      string
	SourceURL string `json:"source_url"`
}

func (t *test) keep(grafana bool) *kept {
	t.Helper()
	pods := t.standIns("wordpress", "telegraf")
	k := &kept{
		name: fmt.Sprintf("e2e_kept_%d", time.Now().UnixMilli()), wordpress: pods["wordpress"], telegraf: pods["telegraf"],
		author: t.stack.Browser(), grafana: grafana,
	}
	t.later(k.tidy)
	t.sql(k.wordpress, "CREATE TABLE "+k.name+" (number INT PRIMARY KEY)", "INSERT INTO "+k.name+" VALUES (42)")
	written := t.influx(k.telegraf, "influxdb-writer", "/write", k.name+" number=42i", url.Values{"db": {"telegraf"}})
	require.Equal(t, http.StatusNoContent, written.Code, written.Body)

	upload := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(upload, []byte(k.name), 0o600))
	_, err := t.alice(t.Context(), k.name, "--upload-file", upload)
	require.NoError(t, err)

	login := t.stack.URL("https", 5050, "/wp-login.php")
	t.get(k.author, login)
	answer := t.postForm(k.author, login, url.Values{
		"log": {"olivia"}, "pwd": {t.secret("wordpress-users", "olivia")}, "testcookie": {"1"},
	})
	require.Equal(t, http.StatusFound, answer.Code, "olivia logs in")
	post, err := json.Marshal(map[string]string{"title": k.name, "content": "Kept: " + k.name, "status": "publish"})
	require.NoError(t, err)
	k.post = k.rest(t, http.MethodPost, "/wp/v2/posts", "application/json", post)
	var encoded bytes.Buffer
	require.NoError(t, png.Encode(&encoded, &image.Gray{Pix: []byte(k.name), Stride: len(k.name), Rect: image.Rect(0, 0, len(k.name), 1)}))
	k.picture = encoded.Bytes()
	k.media = k.rest(t, http.MethodPost, "/wp/v2/media", "image/png", k.picture)
	if k.grafana {
		folder, err := json.Marshal(map[string]string{"uid": k.name, "title": k.name})
		require.NoError(t, err)
		t.grafanaFolder(http.MethodPost, "", folder)
	}
	return k
}

// rest asks WordPress's REST API as the author.
func (k *kept) rest(t *test, method, route, contentType string, body []byte) wordpressItem {
	t.Helper()
	nonce := t.get(k.author, t.stack.URL("https", 5050, "/wp-admin/admin-ajax.php?action=rest-nonce"))
	require.Equal(t, http.StatusOK, nonce.Code, "olivia is logged in")
	request, err := http.NewRequestWithContext(t.Context(), method, t.stack.URL("https", 5050, "/index.php?rest_route="+route), bytes.NewReader(body))
	require.NoError(t, err)
	request.Header.Set("X-WP-Nonce", nonce.Body)
	request.Header.Set("Content-Type", contentType)
	request.Header.Set("Content-Disposition", `attachment; filename="`+k.name+`.png"`)
	answer, err := stack.Do(k.author, request)
	require.NoError(t, err)
	require.Less(t, answer.Code, 300, answer.Body)
	var item wordpressItem
	require.NoError(t, json.Unmarshal([]byte(answer.Body), &item))
	return item
}

func (t *test) grafanaFolder(method, path string, body []byte) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, t.stack.URL("https", 3000, "/api/folders"+path), bytes.NewReader(body))
	require.NoError(t, err)
	request.SetBasicAuth(t.secret("grafana-admin", "username"), t.secret("grafana-admin", "password"))
	request.Header.Set("Content-Type", "application/json")
	answer, err := stack.Do(t.stack.Browser(), request)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, answer.Code, answer.Body)
}

func (k *kept) verify(t *test) {
	t.Helper()
	for _, pod := range []*standin.Pod{k.wordpress, k.telegraf} {
		// They too were restarted with the node.
		require.NoError(t, stack.Until(t.Context(), "the stand-ins to answer", time.Minute, 300*time.Millisecond, func(ctx context.Context) error {
			_, err := pod.Dial(ctx, time.Second)
			return err
		}))
	}
	visitor := t.stack.Browser()
	assert.Contains(t, t.get(visitor, k.post.Link).Body, "Kept: "+k.name, "the post")
	media := t.get(visitor, k.media.SourceURL)
	assert.Equal(t, http.StatusOK, media.Code, "the upload")
	assert.Equal(t, k.picture, []byte(media.Body), "the upload")
	assert.Equal(t, http.StatusOK, t.get(k.author, t.stack.URL("https", 5050, "/wp-admin/profile.php")).Code, "olivia's session")
	file, err := t.alice(t.Context(), k.name)
	assert.NoError(t, err)
	assert.Equal(t, k.name, file, "alice's file")
	assert.Equal(t, [][]string{{"42"}}, t.sql(k.wordpress, "SELECT number FROM "+k.name), "the row")
	assert.Equal(t, []int{42}, t.points(k.telegraf, k.name), "the point")
	if k.grafana {
		t.grafanaFolder(http.MethodGet, "/"+k.name, nil)
	}
}

// tidy removes all of it. It goes on where something is not there.
func (k *kept) tidy(t *test) {
	t.waitReady(time.Minute, "mysql", "influxdb", "ftps", "wordpress")
	if k.grafana {
		defer t.grafanaFolder(http.MethodDelete, "/"+k.name, nil)
	}
	for kind, item := range map[string]wordpressItem{"posts": k.post, "media": k.media} {
		if item.ID != 0 {
			defer k.rest(t, http.MethodDelete, fmt.Sprintf("/wp/v2/%s/%d&force=true", kind, item.ID), "", nil)
		}
	}
	defer t.sql(k.wordpress, "DROP TABLE "+k.name)
	defer t.drop(k.telegraf, k.name)
	_, err := t.alice(t.Context(), "", "--list-only", "--quote", "DELE "+k.name)
	assert.NoError(t, err)
}

func (t *test) drop(from *standin.Pod, measurement string) {
	t.Helper()
	_, err := results(t.influx(from, "influxdb-admin", "/query", "", influxQL(`DROP MEASUREMENT "`+measurement+`"`)))
	assert.NoError(t, err)
}
