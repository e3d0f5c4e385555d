//go:build imagetest

package imagetest

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"html"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const form = "application/x-www-form-urlencoded"

func services() []service {
	return []service{
		credentials(), nginx(), ftps(), mysql(), influxdb(), wordpress(), phpmyadmin(), telegraf(), telegrafNode(), grafana(),
	}
}

func nginx() service {
	return service{
		name:      "nginx",
		check:     checks{"nginx": {appended("-t")}},
		processes: []process{{"nginx", "nginx"}},
		// nginx asks a name server itself, and verifies phpMyAdmin's certificate.
		around: func(r *running) {
			startDNS(r)
			listener, err := r.network.Listen(5000)
			require.NoError(r, err)
			pair, err := tls.X509KeyPair([]byte(r.secret("server-tls", "tls.crt")), []byte(r.secret("server-tls", "tls.key")))
			require.NoError(r, err)
			behind := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
				http.SetCookie(w, &http.Cookie{Name: "phpMyAdmin", Value: "x", Path: "/"})
				fmt.Fprintf(w, "behind %s %s", request.Host, request.URL.Path)
			}))
			require.NoError(r, behind.Listener.Close())
			behind.Listener = listener
			behind.TLS = &tls.Config{Certificates: []tls.Certificate{pair}}
			behind.StartTLS()
			r.Cleanup(behind.Close)
		},
		verify: func(r *running) {
			browser := r.browser()
			page := r.get(browser, "https://nginx/")
			assert.Equal(r, http.StatusOK, page.code)
			assert.Contains(r, page.body, "<html")
			for address, want := range map[string]struct {
				code     int
				location string
			}{
				"http://nginx/any?x=1":     {http.StatusMovedPermanently, "https://nginx/any?x=1"},
				"https://nginx/wordpress":  {http.StatusTemporaryRedirect, "https://nginx:5050/"},
				"https://nginx/wordpress/": {http.StatusTemporaryRedirect, "https://nginx:5050/"},
				"https://nginx/phpmyadmin": {http.StatusTemporaryRedirect, "/phpmyadmin/"},
				"https://nginx/none":       {http.StatusNotFound, ""},
			} {
				got := r.get(browser, address)
				assert.Equal(r, want.code, got.code, address)
				assert.Equal(r, want.location, got.header.Get("Location"), address)
			}
			proxied := r.get(browser, "https://nginx/phpmyadmin/themes/x.css")
			assert.Equal(r, "behind nginx /themes/x.css", proxied.body)
			assert.Contains(r, proxied.header.Get("Set-Cookie"), "Path=/phpmyadmin/")
			assert.Contains(r, r.get(browser, "http://nginx:8080/stub_status").body, "Active connections")
		},
	}
}

func ftps() service {
	content := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	login := func(r *running, user string) *ftpsClient {
		r.Helper()
		client := r.ftpsClient()
		require.NoError(r, client.login(user, r.secret("ftps-users", user)))
		return client
	}
	return service{
		name: "ftps",
		check: checks{
			"ftps": {appended("--configtest")},
			// execd calls it an error that a test ends it.
			"metrics": {telegrafCheck, appended("--test", "--input-filter", "procstat")},
		},
		processes: []process{{"proftpd", "ftps"}, {"telegraf", "metrics"}},
		use: func(r *running) {
			_, err := login(r, "alice").transfer("STOR kept.bin", content)
			require.NoError(r, err)
		},
		verify: func(r *running) {
			alice := login(r, "alice")
			list, err := alice.transfer("LIST", nil)
			require.NoError(r, err)
			assert.Contains(r, string(list), "kept.bin")
			assert.GreaterOrEqual(r, alice.lastPort, 21100)
			assert.LessOrEqual(r, alice.lastPort, 21139)
			back, err := alice.transfer("RETR kept.bin", nil)
			require.NoError(r, err)
			require.Len(r, back, len(content))
			assert.True(r, bytes.Equal(content, back), "the file comes back as it went")
			_, err = alice.transfer("STOR short.txt", []byte("short"))
			require.NoError(r, err)
			_, err = alice.command(250, "DELE short.txt")
			require.NoError(r, err)
			for _, outside := range []string{"../bob", "/srv/ftps/bob", "/etc"} {
				_, err = alice.command(250, "CWD %s", outside)
				assert.ErrorContains(r, err, "550", outside)
			}

			bob := login(r, "bob")
			list, err = bob.transfer("LIST", nil)
			require.NoError(r, err)
			assert.NotContains(r, string(list), "kept.bin", "everybody sees only the own home")

			assert.ErrorContains(r, r.ftpsClient().login("alice", "wrong"), "530")
			_, err = r.ftpsClient().command(331, "USER alice")
			assert.ErrorContains(r, err, "550", "plain FTP is refused")

			require.EventuallyWithT(r, func(c *assert.CollectT) {
				metrics := r.get(r.browser(), "http://ftps:9273/metrics").body
				assert.Contains(c, metrics, "ftps_sessions")
				assert.Contains(c, metrics, "ftps_logins_total")
			}, askWithin, time.Second)
		},
	}
}

func (r *running) ftpsClient() *ftpsClient {
	r.Helper()
	passive := ""
	for _, variable := range r.bench.manifests.Workloads["ftps"].Template.Spec.Containers[0].Env {
		if variable.Name == "PASSIVE_ADDRESS" {
			passive = variable.Value
		}
	}
	ctx, cancel := context.WithTimeout(r.Context(), askWithin)
	r.Cleanup(cancel)
	client, err := dialFTPS(ctx, r.network, r.trust(), passive)
	require.NoError(r, err)
	r.Cleanup(func() { client.close() })
	return client
}

// sql runs statements over the network as an account, whose password only the client's own
// environment holds.
func (r *running) sql(user, password, statements string) (string, int) {
	r.Helper()
	ctx, cancel := context.WithTimeout(r.Context(), askWithin)
	defer cancel()
	script := `IFS= read -r MYSQL_PWD; export MYSQL_PWD; exec mariadb --no-defaults --batch --skip-column-names --protocol=tcp --host=127.0.0.1 --user="$1"`
	out, code, err := r.pod.ExecInput(ctx, "mysql", strings.NewReader(password+"\n"+statements), "sh", "-c", script, "sh", user)
	require.NoError(r, err)
	return out, code
}

func mysql() service {
	return service{
		name:      "mysql",
		check:     checks{"mysql": {appended("--help", "--verbose")}},
		processes: []process{{"mysqld", "mysql"}},
		use: func(r *running) {
			out, code := r.sql("wordpress", r.secret("mysql-wordpress", "password"),
				"CREATE TABLE wordpress.kept (word VARCHAR(20)); INSERT INTO wordpress.kept VALUES ('grüße');")
			require.Zero(r, code, out)
		},
		verify: func(r *running) {
			out, code := r.sql("wordpress", r.secret("mysql-wordpress", "password"), "SELECT HEX(word) FROM wordpress.kept;")
			require.Zero(r, code, out)
			assert.Equal(r, "6772C3BCC39F65\n", out)
			out, code = r.sql("dba", r.secret("mysql-phpmyadmin", "password"), "SELECT COUNT(*) FROM mysql.user WHERE User = '';")
			require.Zero(r, code, out)
			assert.Equal(r, "0\n", out)
			for user, password := range map[string]string{
				"wordpress": "wrong", "root": r.secret("mysql-root", "password"), "nobody": "",
			} {
				out, code = r.sql(user, password, "SELECT 1;")
				assert.NotZero(r, code, "%s is let in over the network", user)
				assert.Contains(r, out, "Access denied", user)
			}
		},
	}
}

// influx asks the server as an account of one of the Secrets; none means without an account.
func (r *running) influx(account, path string, values url.Values, body string) answer {
	r.Helper()
	request, err := http.NewRequestWithContext(r.Context(), http.MethodPost, "http://influxdb:8086"+path+"?"+values.Encode(), strings.NewReader(body))
	require.NoError(r, err)
	if account != "" {
		request.SetBasicAuth(r.secret(account, "username"), r.secret(account, "password"))
	}
	return r.do(r.browser(), request)
}

func (r *running) influxQuery(account, query string) answer {
	r.Helper()
	return r.influx(account, "/query", url.Values{"db": {"telegraf"}, "q": {query}}, "")
}

func influxdb() service {
	database := url.Values{"db": {"telegraf"}, "precision": {"s"}}
	return service{
		name: "influxdb",
		check: checks{"influxdb": {func(command []string) []string {
			return append([]string{command[0], "config"}, command[2:]...)
		}}},
		processes: []process{{"influxd", "influxdb"}},
		use: func(r *running) {
			point := fmt.Sprintf("kept,service=test value=42 %d", time.Now().Unix())
			got := r.influx("influxdb-writer", "/write", database, point)
			require.Equal(r, http.StatusNoContent, got.code, got.body)
		},
		verify: func(r *running) {
			got := r.influxQuery("influxdb-reader", "SELECT value FROM kept")
			assert.Equal(r, http.StatusOK, got.code, got.body)
			assert.Contains(r, got.body, ",42]")
			assert.Equal(r, http.StatusForbidden, r.influx("influxdb-reader", "/write", database, "no value=1").code)
			assert.NotContains(r, r.influxQuery("influxdb-writer", "SELECT value FROM kept").body, "42")
			assert.Equal(r, http.StatusUnauthorized, r.influxQuery("", "SHOW DATABASES").code)
		},
	}
}

const wordpressSite = "https://wordpress:5050"

// wordpressLogin returns a browser in which somebody has logged in.
func (r *running) wordpressLogin(user, password string) (*http.Client, answer) {
	r.Helper()
	browser := r.browser()
	page := r.get(browser, wordpressSite+"/wp-login.php")
	require.Equal(r, http.StatusOK, page.code)
	require.Contains(r, page.body, "user_login")
	return browser, r.postForm(browser, wordpressSite+"/wp-login.php", url.Values{
		"log": {user}, "pwd": {password}, "testcookie": {"1"}, "redirect_to": {wordpressSite + "/wp-admin/"},
	})
}

// wordpressAPI sends something to WordPress's REST API as whoever is logged in.
func (r *running) wordpressAPI(browser *http.Client, route, contentType, name, body string) answer {
	r.Helper()
	nonce := r.get(browser, wordpressSite+"/wp-admin/admin-ajax.php?action=rest-nonce")
	require.Equal(r, http.StatusOK, nonce.code, nonce.body)
	request, err := http.NewRequestWithContext(r.Context(), http.MethodPost, wordpressSite+"/index.php?rest_route="+route, strings.NewReader(body))
	require.NoError(r, err)
	request.Header.Set("Content-Type", contentType)
	request.Header.Set("X-WP-Nonce", nonce.body)
	if name != "" {
		request.Header.Set("Content-Disposition", `attachment; filename="`+name+`"`)
	}
	return r.do(browser, request)
}

func wordpress() service {
	var upload string
	return service{
		name:      "wordpress",
		needs:     []string{"mysql"},
		check:     checks{"wordpress": {appended("-t")}, "nginx": {appended("-t")}},
		processes: []process{{"php-fpm", "wordpress"}, {"nginx", "nginx"}},
		use: func(r *running) {
			browser, _ := r.wordpressLogin("olivia", r.secret("wordpress-users", "olivia"))
			post := r.wordpressAPI(browser, "/wp/v2/posts", form, "", "title=kept&content=what+was+written&status=publish")
			require.Equal(r, http.StatusCreated, post.code, post.body)
			media := r.wordpressAPI(browser, "/wp/v2/media", "text/plain", "kept.txt", "what was uploaded")
			require.Equal(r, http.StatusCreated, media.code, media.body)
			var made struct {
				SourceURL string `json:"source_url"`
			}
			require.NoError(r, json.Unmarshal([]byte(media.body), &made))
			upload = made.SourceURL
		},
		verify: func(r *running) {
			browser := r.browser()
			assert.Contains(r, r.get(browser, wordpressSite+"/").body, "kept")
			assert.Equal(r, "what was uploaded", r.get(browser, upload).body)
			for _, user := range []string{"olivia", "edgar", "anna", "sam"} {
				browser, in := r.wordpressLogin(user, r.secret("wordpress-users", user))
				require.Equal(r, http.StatusFound, in.code, "login of %s", user)
				admin := r.get(browser, wordpressSite+"/wp-admin/profile.php")
				assert.Equal(r, http.StatusOK, admin.code, user)
				users := r.get(browser, wordpressSite+"/wp-admin/users.php")
				assert.Equal(r, user == "olivia", users.code == http.StatusOK, "%s sees the users: %d", user, users.code)
			}
			_, out := r.wordpressLogin("olivia", "wrong")
			assert.Equal(r, http.StatusOK, out.code)
			for _, closed := range []string{"/wp-admin/install.php", "/xmlrpc.php", "/wp-config.php"} {
				assert.Equal(r, http.StatusForbidden, r.get(browser, wordpressSite+closed).code, closed)
			}
			plain := r.get(browser, "http://wordpress:5050/x")
			assert.Equal(r, http.StatusMovedPermanently, plain.code)
			assert.Equal(r, wordpressSite+"/x", plain.header.Get("Location"))
			assert.Contains(r, r.get(browser, "http://wordpress:8080/stub_status").body, "Active connections")
			assert.Contains(r, r.get(browser, "http://wordpress:8080/fpm-status").body, "accepted conn")
		},
	}
}

const phpmyadminSite = "https://phpmyadmin:5000"

func (r *running) phpmyadminLogin(password string) string {
	r.Helper()
	browser := r.browser()
	page := r.get(browser, phpmyadminSite+"/")
	require.Equal(r, http.StatusOK, page.code)
	hidden := func(name string) string {
		found := regexp.MustCompile(`name="` + name + `" value="([^"]*)"`).FindStringSubmatch(page.body)
		require.NotEmpty(r, found, "the login page has no field %s", name)
		return html.UnescapeString(found[1])
	}
	for _, style := range regexp.MustCompile(`href="([^"]+\.css[^"]*)"`).FindAllStringSubmatch(page.body, -1) {
		assert.Equal(r, http.StatusOK, r.get(browser, phpmyadminSite+"/"+html.UnescapeString(style[1])).code, style[1])
	}
	r.postForm(browser, phpmyadminSite+"/index.php?route=/", url.Values{
		"pma_username": {r.secret("mysql-phpmyadmin", "username")}, "pma_password": {password},
		"token": {hidden("token")}, "set_session": {hidden("set_session")}, "server": {"1"},
	})
	return r.get(browser, phpmyadminSite+"/index.php?route=/").body
}

func phpmyadmin() service {
	return service{
		name:      "phpmyadmin",
		needs:     []string{"mysql"},
		check:     checks{"phpmyadmin": {appended("-t")}, "nginx": {appended("-t")}},
		processes: []process{{"php-fpm", "phpmyadmin"}, {"nginx", "nginx"}},
		verify: func(r *running) {
			assert.Contains(r, r.phpmyadminLogin(r.secret("mysql-phpmyadmin", "password")), "logged_in:true")
			assert.NotContains(r, r.phpmyadminLogin("wrong"), "logged_in:true")
			browser := r.browser()
			assert.Equal(r, http.StatusForbidden, r.get(browser, phpmyadminSite+"/libraries/config.default.php").code)
			assert.Equal(r, http.StatusMovedPermanently, r.get(browser, "http://phpmyadmin:5000/").code)
			assert.Contains(r, r.get(browser, "http://phpmyadmin:8080/fpm-status").body, "accepted conn")
		},
	}
}

// telegrafCheck reads the configuration and makes every plugin, but starts none.
func telegrafCheck(command []string) []string {
	check := []string{command[0], "config", "check"}
	for _, arg := range command[1:] {
		if arg != "--unprotected" { // which only running knows
			check = append(check, arg)
		}
	}
	return check
}

func telegraf() service {
	return service{
		name:  "telegraf",
		needs: []string{"influxdb"},
		// Asking once fails where nobody answers: here all others are missing.
		check:     checks{"telegraf": {telegrafCheck, appended("--test", "--input-filter", "influxdb:internal")}},
		processes: []process{{"telegraf", "telegraf"}},
		verify: func(r *running) {
			require.EventuallyWithT(r, func(c *assert.CollectT) {
				got := r.influxQuery("influxdb-reader", `SELECT LAST(metrics_written) FROM internal_write WHERE time > now() - 20s`)
				assert.Contains(c, got.body, `"values"`)
			}, 45*time.Second, time.Second, "it writes of itself")
			got := r.influxQuery("influxdb-reader", `SELECT LAST(numSeries) FROM influxdb_database WHERE service = 'influxdb'`)
			assert.Contains(r, got.body, `"values"`, "it writes of InfluxDB")
		},
	}
}

func telegrafNode() service {
	return service{
		name:      "telegraf-node",
		check:     checks{"telegraf-node": {telegrafCheck, appended("--test")}},
		processes: []process{{"telegraf", "telegraf-node"}},
		verify: func(r *running) {
			require.EventuallyWithT(r, func(c *assert.CollectT) {
				metrics := r.get(r.browser(), "http://telegraf-node:9273/metrics").body
				for _, name := range []string{"cpu_usage_idle", "mem_available", "system_load1", "processes_total"} {
					assert.Contains(c, metrics, name+`{node="localhost"}`)
				}
			}, 45*time.Second, time.Second)
		},
	}
}

const grafanaSite = "https://grafana:3000"

func grafana() service {
	login := func(r *running, password string) (*http.Client, answer) {
		r.Helper()
		browser := r.browser()
		body, err := json.Marshal(map[string]string{"user": r.secret("grafana-admin", "username"), "password": password})
		require.NoError(r, err)
		return browser, r.post(browser, grafanaSite+"/login", "application/json", string(body))
	}
	return service{
		name:      "grafana",
		needs:     []string{"influxdb"},
		optional:  true,
		processes: []process{{"grafana", "grafana"}},
		use: func(r *running) {
			browser, _ := login(r, r.secret("grafana-admin", "password"))
			made := r.post(browser, grafanaSite+"/api/folders", "application/json", `{"uid":"kept","title":"kept"}`)
			require.Equal(r, http.StatusOK, made.code, made.body)
		},
		verify: func(r *running) {
			assert.Equal(r, http.StatusOK, r.get(r.browser(), grafanaSite+"/login").code)
			browser, in := login(r, r.secret("grafana-admin", "password"))
			require.Equal(r, http.StatusOK, in.code, in.body)
			assert.Equal(r, http.StatusOK, r.get(browser, grafanaSite+"/api/folders/kept").code)
			health := r.get(browser, grafanaSite+"/api/datasources/uid/influxdb/health")
			assert.Equal(r, http.StatusOK, health.code, health.body)
			assert.Contains(r, r.get(browser, grafanaSite+"/api/search?type=dash-db").body, "Overview")
			_, out := login(r, "wrong")
			assert.Equal(r, http.StatusUnauthorized, out.code)
			assert.Equal(r, http.StatusUnauthorized, r.get(r.browser(), grafanaSite+"/metrics").code)
		},
	}
}
