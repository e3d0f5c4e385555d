package e2e

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"html"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/ft-services/ft-services/tools/e2e/internal/stack"
)

// The ports of the one address.
const (
	ftpPort        = 21
	firstPassive   = 21100
	lastPassive    = 21139
	wordpressPort  = 5050
	phpmyadminPort = 5000
	grafanaPort    = 3000
)

// otherHost is a name that no configuration can know.
const otherHost = "front.example.test"

func webChecks() []check {
	return []check{
		{"R4", "each service has its own port on the one address, and no other port is open", onlyPublicPorts},
		{"R7", "every request on port 80 is sent to https on the same host", everythingToHTTPS},
		{"R7", "port 443 serves a page and sends WordPress's visitors to port 5050", frontDoor},
		{"R7", "phpMyAdmin's page, styles and scripts load behind nginx", proxiedPage},
		{"R7", "no address is in nginx's configuration", noAddressInConfiguration},
		{"G4", "curl gets the answers that graders expect", func(t *test) { curlMatrix(t, curlRows) }},
		{"G4", "curl gets Grafana's login page", func(t *test) {
			t.needGrafana()
			curlMatrix(t, grafanaRows)
		}},
		{"R14", "nginx, WordPress and phpMyAdmin speak only new TLS, with the stack's certificate", func(t *test) {
			for _, port := range []int{443, wordpressPort, phpmyadminPort} {
				httpsPort(t, port)
			}
		}},
		{"R14", "Grafana speaks only new TLS, with the stack's certificate", func(t *test) {
			t.needGrafana()
			httpsPort(t, grafanaPort)
		}},
		{"R14", "plain http to 5050 or 5000 is sent to https on the same port", plainOnTLSPorts},
	}
}

// get asks for a page.
func (t *test) get(client *http.Client, url string) stack.Answer {
	t.Helper()
	answer, err := stack.Get(t.Context(), client, url)
	require.NoError(t, err)
	return answer
}

// postForm sends a form.
func (t *test) postForm(client *http.Client, url string, form url.Values) stack.Answer {
	t.Helper()
	answer, err := stack.Post(t.Context(), client, url, "application/x-www-form-urlencoded", strings.NewReader(form.Encode()))
	require.NoError(t, err)
	return answer
}

// ask asks for something at the address in the name of a host.
func (t *test) ask(client *http.Client, method, host, url string) stack.Answer {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	require.NoError(t, err)
	request.Host = host
	answer, err := stack.Do(client, request)
	require.NoError(t, err)
	return answer
}

// authorityFile is the stack's authority for programs that want it in a file.
func (t *test) authorityFile() string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "ca.crt")
	require.NoError(t, os.WriteFile(path, []byte(t.secret("server-tls", "ca.crt")), 0o600))
	return path
}

// dial connects to a port of the address. Nothing on the connection lasts longer than a minute.
func (t *test) dial(port int) (net.Conn, error) {
	dialer := &net.Dialer{Timeout: 5 * time.Second}
	connection, err := dialer.DialContext(t.Context(), "tcp", net.JoinHostPort(t.stack.Address.String(), fmt.Sprint(port)))
	if err != nil {
		return nil, err
	}
	if err := connection.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		return nil, errors.Join(err, connection.Close())
	}
	return connection, nil
}

// onlyNewTLS sees that a handshake succeeds with TLS 1.2 and 1.3 and no older version, and only for who knows the
// stack's authority. Each is made on a new connection.
func (t *test) onlyNewTLS(what string, dial func() (net.Conn, error)) {
	t.Helper()
	handshake := func(change func(*tls.Config)) error {
		connection, err := dial()
		require.NoError(t, err, what)
		defer connection.Close()
		config := t.stack.TLS()
		change(config)
		return tls.Client(connection, config).HandshakeContext(t.Context())
	}
	for version := uint16(tls.VersionTLS10); version <= tls.VersionTLS13; version++ {
		err := handshake(func(config *tls.Config) { config.MinVersion, config.MaxVersion = version, version })
		if version >= tls.VersionTLS12 {
			assert.NoError(t, err, "%s, %s", what, tls.VersionName(version))
		} else {
			assert.ErrorContains(t, err, "protocol version not supported", "%s, %s", what, tls.VersionName(version))
		}
	}
	var stranger x509.UnknownAuthorityError
	assert.ErrorAs(t, handshake(func(config *tls.Config) { config.RootCAs = nil }), &stranger, "%s, the system's roots", what)
	var wrongName x509.HostnameError
	assert.ErrorAs(t, handshake(func(config *tls.Config) { config.ServerName = "192.0.2.1" }), &wrongName, "%s, another address", what)
}

func onlyPublicPorts(t *test) {
	public := map[string][]int32{"nginx": {80, 443}, "ftps": {ftpPort}, "wordpress": {wordpressPort}, "phpmyadmin": {phpmyadminPort}, "grafana": {grafanaPort}}
	open := []int32{80, 443, ftpPort, wordpressPort, phpmyadminPort}
	for port := int32(firstPassive); port <= lastPassive; port++ {
		public["ftps"] = append(public["ftps"], port)
	}
	services, err := t.stack.Client.CoreV1().Services(metav1.NamespaceAll).List(t.Context(), metav1.ListOptions{})
	require.NoError(t, err)
	for _, service := range services.Items {
		if service.Spec.Type != corev1.ServiceTypeLoadBalancer {
			continue
		}
		var ports []int32
		for _, port := range service.Spec.Ports {
			assert.Equal(t, corev1.ProtocolTCP, port.Protocol, service.Name)
			ports = append(ports, port.Port)
		}
		assert.ElementsMatch(t, public[service.Name], ports, service.Name)
		require.Len(t, service.Status.LoadBalancer.Ingress, 1, service.Name)
		assert.Equal(t, t.stack.Address.String(), service.Status.LoadBalancer.Ingress[0].IP, service.Name)
		delete(public, service.Name)
	}
	assert.Empty(t, public, "not on the address")

	// What listens in a pod, on the node or near it, and the neighbours of what is open. A passive port is open only
	// while a client waits for its data.
	closed := []int32{
		20, 22, 23, 25, 53, 79, 81, 111, 444, 990, 2049, 2121, 2379, 2380, 2999, 3001, 3306, 3307, 4999, 5001, 5049, 5051,
		6443, 7472, 7946, 8080, 8081, 8086, 8088, 8443, 9000, 9090, 9100, 9273, 10248, 10249, 10250, 10256, 10257, 10259,
		firstPassive - 1, lastPassive + 1, 30000, 32767,
	}
	reached := make([]error, len(open)+len(closed))
	var dials sync.WaitGroup
	for i, port := range slices.Concat(open, closed) {
		dials.Go(func() {
			connection, err := t.dial(int(port))
			if err == nil {
				err = connection.Close()
			}
			reached[i] = err
		})
	}
	dials.Wait()
	for i, port := range open {
		assert.NoError(t, reached[i], "port %d", port)
	}
	for i, port := range closed {
		assert.Error(t, reached[len(open)+i], "port %d is open", port)
	}
}

func everythingToHTTPS(t *test) {
	browser := t.stack.Browser()
	for _, host := range []string{t.stack.Address.String(), otherHost} {
		for _, path := range []string{"/", "/some/where?x=1&y=%20z", "/wordpress", "/phpmyadmin/", "/index.html", "/.hidden"} {
			for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"} {
				what := fmt.Sprint(method, " ", host, path)
				answer := t.ask(browser, method, host, t.stack.URL("http", 0, path))
				assert.Equal(t, http.StatusMovedPermanently, answer.Code, what)
				assert.Equal(t, "https://"+host+path, answer.Header.Get("Location"), what)
			}
		}
	}
}

func frontDoor(t *test) {
	browser := t.stack.Browser()
	for _, host := range []string{t.stack.Address.String(), otherHost} {
		page := t.ask(browser, http.MethodGet, host, t.stack.URL("https", 0, "/"))
		assert.Equal(t, http.StatusOK, page.Code, host)
		assert.Contains(t, page.Header.Get("Content-Type"), "text/html", host)
		assert.Contains(t, page.Body, "<title>ft_services</title>", host)
		for _, path := range []string{"/wordpress", "/wordpress/"} {
			for _, method := range []string{http.MethodGet, http.MethodPost} {
				answer := t.ask(browser, method, host, t.stack.URL("https", 0, path))
				assert.Equal(t, http.StatusTemporaryRedirect, answer.Code, "%s%s", host, path)
				assert.Equal(t, "https://"+host+":5050/", answer.Header.Get("Location"), path)
			}
		}
		// A browser reads it as a path on the same host.
		answer := t.ask(browser, http.MethodGet, host, t.stack.URL("https", 0, "/phpmyadmin"))
		assert.Equal(t, http.StatusTemporaryRedirect, answer.Code, host)
		assert.Equal(t, "/phpmyadmin/", answer.Header.Get("Location"), host)
	}
	// The redirect leads to WordPress.
	page := t.get(browser, t.get(browser, t.stack.URL("https", 0, "/wordpress")).Header.Get("Location"))
	assert.Equal(t, http.StatusOK, page.Code)
	assert.Contains(t, page.Body, "wp-includes")
}

// assets are the addresses of the styles and scripts that a page of phpMyAdmin loads.
var assets = regexp.MustCompile(`(?:<link rel="stylesheet" [^>]*href|<script [^>]*src)="([^"]+)"`)

func proxiedPage(t *test) {
	for _, host := range []string{t.stack.Address.String(), otherHost} {
		browser := t.stack.Browser()
		base := t.stack.URL("https", 0, "/phpmyadmin/")
		page := t.ask(browser, http.MethodGet, host, base)
		require.Equal(t, http.StatusOK, page.Code)
		assert.Contains(t, page.Body, "pma_password")
		assert.NotContains(t, page.Body, "logged_in:true")
		cookies := page.Header.Values("Set-Cookie")
		assert.NotEmpty(t, cookies)
		for _, cookie := range cookies {
			assert.Contains(t, strings.ToLower(cookie), "path=/phpmyadmin/", "or browsers would send it to everything on the address")
			assert.Contains(t, strings.ToLower(cookie), "; secure")
		}
		kinds := map[string]int{}
		for _, found := range assets.FindAllStringSubmatch(page.Body, -1) {
			asset := html.UnescapeString(found[1])
			assert.NotRegexp(t, `^(/|[a-z]+:)`, asset, "a link that is not relative to the page")
			answer := t.ask(browser, http.MethodGet, host, base+asset)
			assert.Equal(t, http.StatusOK, answer.Code, asset)
			kind, _, _ := strings.Cut(answer.Header.Get("Content-Type"), ";")
			kinds[kind]++
		}
		assert.Positive(t, kinds["text/css"], "%v", kinds)
		assert.Greater(t, len(kinds), 1, "styles and scripts: %v", kinds)
		assert.Zero(t, kinds["text/html"], "%v", kinds)
	}
}

func noAddressInConfiguration(t *test) {
	pod, err := t.stack.Pod(t.Context(), "nginx")
	require.NoError(t, err)
	files := 0
	for _, volume := range pod.Spec.Volumes {
		if volume.ConfigMap == nil {
			continue
		}
		config, err := t.stack.Client.CoreV1().ConfigMaps(stack.Namespace).Get(t.Context(), volume.ConfigMap.Name, metav1.GetOptions{})
		require.NoError(t, err)
		for name, text := range config.Data {
			files++
			assert.NotContains(t, text, t.stack.Address.String(), name)
		}
	}
	assert.Positive(t, files)
}

// curlRow is a line of the matrix: what curl is asked for, and what it must say.
type curlRow struct {
	scheme   string
	port     int
	path     string
	code     string
	redirect func(*stack.Stack) string
	contains string
}

func nowhere(*stack.Stack) string { return "" }

var curlRows = []curlRow{
	{"http", 0, "", "301", func(s *stack.Stack) string { return s.URL("https", 0, "/") }, "301 Moved Permanently"},
	{"https", 0, "", "200", nowhere, "<title>ft_services</title>"},
	{"https", 0, "/wordpress", "307", func(s *stack.Stack) string { return s.URL("https", wordpressPort, "/") }, "307 Temporary Redirect"},
	{"https", 0, "/phpmyadmin/", "200", nowhere, "pma_username"},
	{"https", wordpressPort, "", "200", nowhere, "<title>ft_services"},
	{"https", phpmyadminPort, "", "200", nowhere, "pma_username"},
}

var grafanaRows = []curlRow{
	{"https", grafanaPort, "", "302", func(s *stack.Stack) string { return s.URL("https", grafanaPort, "/login") }, "/login"},
	{"https", grafanaPort, "/login", "200", nowhere, "Grafana"},
}

func curlMatrix(t *test, rows []curlRow) {
	authority := t.authorityFile()
	for _, row := range rows {
		url := t.stack.URL(row.scheme, row.port, row.path)
		output, err := t.stack.Run(t.Context(), nil, "curl", "--silent", "--show-error", "--max-time", "30", "--cacert", authority,
			"--write-out", "\n%{http_code} %{redirect_url}", url)
		if !assert.NoError(t, err) {
			continue
		}
		end := strings.LastIndex(output, "\n")
		assert.Equal(t, row.code+" "+row.redirect(t.stack), output[end+1:], url)
		assert.Contains(t, output[:end], row.contains, url)
	}
}

func httpsPort(t *test, port int) {
	t.onlyNewTLS(fmt.Sprint("port ", port), func() (net.Conn, error) { return t.dial(port) })
	url := t.stack.URL("https", port, "/")
	assert.Less(t, t.get(t.stack.Browser(), url).Code, http.StatusBadRequest, url)
	// And with a program that knows the system's roots only: 60 is curl's word for a certificate it does not trust.
	_, err := t.stack.Run(t.Context(), nil, "curl", "--silent", "--show-error", "--max-time", "30", url)
	assert.Equal(t, 60, exitCode(err), "curl %s: %v", url, err)
}

// exitCode is that of a program that stack.Run has run; -1 if it has none.
func exitCode(err error) int {
	if err == nil {
		return 0
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode()
	}
	return -1
}

func plainOnTLSPorts(t *test) {
	browser := t.stack.Browser()
	for _, port := range []int{wordpressPort, phpmyadminPort} {
		for _, name := range []string{t.stack.Address.String(), otherHost} {
			host := fmt.Sprint(name, ":", port)
			for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPost} {
				answer := t.ask(browser, method, host, t.stack.URL("http", port, "/index.php?x=1"))
				assert.Equal(t, http.StatusMovedPermanently, answer.Code, "%s %s", method, host)
				assert.Equal(t, "https://"+host+"/index.php?x=1", answer.Header.Get("Location"), method)
			}
		}
	}
}
