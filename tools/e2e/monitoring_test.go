package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/ft-services/ft-services/tools/e2e/internal/ask"
	"github.com/ft-services/ft-services/tools/e2e/internal/stack"
	"github.com/ft-services/ft-services/tools/e2e/internal/standin"
)

func monitoringChecks() []check {
	return []check{
		{"G11", "InfluxDB has the database telegraf, and it fills", databaseFills},
		{"R11", "the data source's account reads, and may do nothing else", dataSource},
		{"R11 G8", "every panel of every dashboard has live data of its own service", panelsHaveData},
		{"R11 G8", "Grafana's own dashboard has live data", grafanaPanelsHaveData},
		{"R11 G8", "Grafana lets its administrator in, and its data source and dashboards are healthy", grafanaItself},
	}
}

// influx asks InfluxDB from a pod that may reach it, as the account of a Secret.
func (t *test) influx(from *standin.Pod, account, path, body string, query url.Values) ask.Answer {
	t.Helper()
	var answer ask.Answer
	require.NoError(t, from.Ask(t.Context(), "http", ask.Request{
		Method: http.MethodPost, URL: "http://influxdb:8086" + path + "?" + query.Encode(), Body: body,
		User: t.secret(account, "username"), Password: t.secret(account, "password"),
	}, &answer))
	return answer
}

func influxQL(query string) url.Values { return url.Values{"db": {"telegraf"}, "q": {query}} }

// result is what InfluxDB answers to one statement.
type result struct {
	Error  string
	Series []struct{ Values [][]any }
}

// results are the answers to the statements of a query, and what stands in the way if there are none.
func results(answer ask.Answer) ([]result, error) {
	var read struct {
		Results []result
		Error   string
	}
	if answer.Code != http.StatusOK {
		return nil, fmt.Errorf("%d %s", answer.Code, answer.Body)
	}
	if err := json.Unmarshal([]byte(answer.Body), &read); err != nil {
		return nil, err
	}
	if read.Error != "" {
		return nil, errors.New(read.Error)
	}
	for _, result := range read.Results {
		if result.Error != "" {
			return nil, errors.New(result.Error)
		}
	}
	return read.Results, nil
}

func databaseFills(t *test) {
	grafana := t.standIn("grafana")
	assert.Contains(t, t.influx(grafana, "influxdb-admin", "/query", "", url.Values{"q": {"SHOW DATABASES"}}).Body, `["telegraf"]`)
	written := func() float64 {
		answer := t.influx(grafana, "influxdb-reader", "/query", "",
			influxQL(`SELECT LAST("metrics_written") FROM "internal_write" WHERE "output" = 'influxdb' AND time > now() - 40s`))
		found, err := results(answer)
		require.NoError(t, err)
		if len(found) != 1 || len(found[0].Series) != 1 {
			return 0
		}
		return found[0].Series[0].Values[0][1].(float64)
	}
	before := written()
	t.eventually(time.Minute, func(c *assert.CollectT) { assert.Greater(c, written(), before) }, "the database fills")
}

// dataSource tests what Grafana is given without Grafana itself.
func dataSource(t *test) {
	config := t.configMap("grafana-config")
	var file struct {
		Datasources []struct {
			URL            string
			User           string
			JSONData       map[string]string
			SecureJSONData map[string]string
		}
	}
	require.NoError(t, yaml.Unmarshal([]byte(config["datasources.yaml"]), &file))
	require.Len(t, file.Datasources, 1)
	source := file.Datasources[0]
	assert.Equal(t, "http://influxdb:8086", source.URL)
	assert.Equal(t, "telegraf", source.JSONData["dbName"])
	for _, value := range []string{source.User, source.SecureJSONData["password"]} {
		assert.Regexp(t, regexp.MustCompile(`^\$__file\{/etc/grafana-influxdb/(username|password)}$`), value, "not in git")
	}

	grafana := t.standIn("grafana")
	measurements, err := results(t.influx(grafana, "influxdb-reader", "/query", "", influxQL("SHOW MEASUREMENTS")))
	require.NoError(t, err)
	assert.NotEmpty(t, measurements[0].Series)
	denied := t.influx(grafana, "influxdb-reader", "/write", "e2e_denied value=1", url.Values{"db": {"telegraf"}})
	assert.Equal(t, http.StatusForbidden, denied.Code, denied.Body)
	for _, statement := range []string{"DROP MEASUREMENT internal_write", "CREATE DATABASE e2e", "SHOW USERS"} {
		answer := t.influx(grafana, "influxdb-reader", "/query", "", influxQL(statement))
		_, err := results(answer)
		assert.Error(t, err, statement)
	}
	// And the writer's account cannot read.
	answer := t.influx(grafana, "influxdb-writer", "/query", "", influxQL(`SELECT * FROM "internal_write" LIMIT 1`))
	_, err = results(answer)
	assert.Error(t, err, answer.Body)
}

// configMap returns the data of the ConfigMap with a generated name that a running Deployment uses.
func (t *test) configMap(prefix string) map[string]string {
	t.Helper()
	deployment, err := t.stack.Client.AppsV1().Deployments(stack.Namespace).Get(t.Context(), "grafana", metav1.GetOptions{})
	require.NoError(t, err)
	for _, volume := range deployment.Spec.Template.Spec.Volumes {
		if volume.ConfigMap != nil && strings.HasPrefix(volume.ConfigMap.Name, prefix+"-") {
			found, err := t.stack.Client.CoreV1().ConfigMaps(stack.Namespace).Get(t.Context(), volume.ConfigMap.Name, metav1.GetOptions{})
			require.NoError(t, err)
			return found.Data
		}
	}
	require.Fail(t, "Deployment grafana mounts no ConfigMap "+prefix)
	return nil
}

type dashboard struct {
	UID    string
	Title  string
	Panels []struct {
		Title   string
		Targets []struct{ Query string }
	}
}

// dashboards are those that Grafana is given in the cluster, by identity.
func (t *test) dashboards() map[string]dashboard {
	t.Helper()
	found := map[string]dashboard{}
	for name, text := range t.configMap("grafana-dashboards") {
		var one dashboard
		require.NoError(t, json.Unmarshal([]byte(text), &one), name)
		found[one.UID] = one
	}
	for _, service := range append(slices.Clone(stack.Services), "overview") {
		require.Contains(t, found, service, "a dashboard for each service")
	}
	return found
}

var grafanaVariables = strings.NewReplacer("$timeFilter", "time > now() - 3m", "$__interval", "10s")

func (t *test) askPanels(dashboards map[string]dashboard) {
	t.Helper()
	type asked struct{ panel, query string }
	var missing []asked
	// The kubelet tells what a volume holds, unless it is a hostPath, as those of minikube are.
	volumes := slices.ContainsFunc(t.summaries(), func(pod summary) bool {
		return slices.ContainsFunc(pod.Volume, func(v volume) bool { return v.PVCRef != nil && v.UsedBytes != nil })
	})
	unknown := 0
	for _, uid := range slices.Sorted(maps.Keys(dashboards)) {
		for _, panel := range dashboards[uid].Panels {
			for _, target := range panel.Targets {
				query := grafanaVariables.Replace(target.Query)
				require.NotContains(t, query, "$", "a variable that this test does not know")
				// The service that a dashboard is of is the one whose pod and process it shows.
				if slices.Contains(stack.Services, uid) {
					require.Contains(t, query, `"service" = '`+uid+`'`, "%s: %s", uid, panel.Title)
				}
				if strings.Contains(query, `"kubernetes_pod_volume"`) && !volumes {
					unknown++
					continue
				}
				missing = append(missing, asked{uid + ": " + panel.Title, query})
			}
		}
	}
	total := len(missing)
	grafana := t.standIn("grafana")
	// A rate takes two rounds of Telegraf, and a pod may have started a moment ago.
	t.eventually(2*time.Minute, func(c *assert.CollectT) {
		var all []string
		for _, one := range missing {
			all = append(all, one.query)
		}
		found, err := results(t.influx(grafana, "influxdb-reader", "/query", "", influxQL(strings.Join(all, ";"))))
		if !assert.NoError(c, err) || !assert.Len(c, found, len(missing)) {
			return
		}
		var still []asked
		for i, one := range missing {
			if len(found[i].Series) == 0 {
				still = append(still, one)
			}
		}
		missing = still
		for _, one := range missing {
			assert.Fail(c, "no data", "%s: %s", one.panel, one.query)
		}
	}, "every panel has data")
	t.report.Measure("Dashboards", strings.Join(slices.Sorted(maps.Keys(dashboards)), ", "),
		fmt.Sprintf("%d queries have data, %d are for volumes of which this cluster tells nothing", total, unknown))
}

func panelsHaveData(t *test) {
	dashboards := t.dashboards()
	delete(dashboards, "grafana")
	t.askPanels(dashboards)
}

func grafanaPanelsHaveData(t *test) {
	t.needGrafana()
	t.askPanels(map[string]dashboard{"grafana": t.dashboards()["grafana"]})
}

func grafanaItself(t *test) {
	t.needGrafana()
	browser := t.stack.Browser()
	site := func(path string) string { return t.stack.URL("https", 3000, path) }
	login := func(client *http.Client, password string) stack.Answer {
		body, err := json.Marshal(map[string]string{"user": t.secret("grafana-admin", "username"), "password": password})
		require.NoError(t, err)
		answer, err := stack.Post(t.Context(), client, site("/login"), "application/json", strings.NewReader(string(body)))
		require.NoError(t, err)
		return answer
	}
	assert.Equal(t, http.StatusUnauthorized, login(t.stack.Browser(), "wrong").Code)
	require.Equal(t, http.StatusOK, login(browser, t.secret("grafana-admin", "password")).Code)
	for path, says := range map[string]string{
		"/api/datasources/uid/influxdb/health": `"OK"`,
		"/api/search?type=dash-db":             "Overview",
	} {
		answer, err := stack.Get(t.Context(), browser, site(path))
		require.NoError(t, err)
		assert.Equal(t, http.StatusOK, answer.Code, path)
		assert.Contains(t, answer.Body, says, path)
	}
	for uid := range t.dashboards() {
		answer, err := stack.Get(t.Context(), browser, site("/api/dashboards/uid/"+uid))
		require.NoError(t, err)
		assert.Equal(t, http.StatusOK, answer.Code, uid)
	}
}
