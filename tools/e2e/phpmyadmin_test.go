package e2e

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ft-services/ft-services/tools/e2e/internal/stack"
)

func phpmyadminChecks() []check {
	return []check{
		{"R10", "phpMyAdmin lets in who has an account of the database, and nobody else", func(t *test) {
			phpmyadminLogin(t, t.stack.URL("https", phpmyadminPort, "/"), "phpmyadmin")
		}},
		{"R7 R10", "phpMyAdmin lets people in behind nginx too", func(t *test) {
			phpmyadminLogin(t, t.stack.URL("https", 0, "/phpmyadmin/"), "nginx-phpmyadmin")
		}},
		{"R10 G7", "a password that is changed in phpMyAdmin is WordPress's", changedPassword},
	}
}

// page is what somebody sees in a browser.
type page struct {
	*test
	ctx context.Context
	mu  sync.Mutex
	// loaded counts the good answers to the browser's requests by what they are for, failed says what the others were.
	loaded map[network.ResourceType]int
	failed []string
}

// chromium starts a browser without memory or window. It trusts the certificate that the stack's authority has signed.
func (t *test) chromium() *page {
	t.Helper()
	connection, err := t.dial(443)
	require.NoError(t, err)
	defer connection.Close()
	private := tls.Client(connection, t.stack.TLS())
	require.NoError(t, private.HandshakeContext(t.Context()))
	key := sha256.Sum256(private.ConnectionState().PeerCertificates[0].RawSubjectPublicKeyInfo)

	// Chromium makes a socket in a folder of its own here, and the path of T.TempDir is too long for one.
	home, err := os.MkdirTemp("", "e2e-chromium-")
	require.NoError(t, err)
	t.Cleanup(func() {
		// The last of its processes may still write.
		assert.NoError(t, stack.Until(context.Background(), "Chromium's files to be gone", 10*time.Second, 100*time.Millisecond,
			func(context.Context) error { return os.RemoveAll(home) }))
	})
	// The test's own context would end before the browser can be closed.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 2*time.Minute)
	ctx, stop := chromedp.NewExecAllocator(ctx, append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.UserDataDir(filepath.Join(home, "profile")),
		chromedp.Env("HOME="+home, "TMPDIR="+home, "XDG_CONFIG_HOME="+home, "XDG_CACHE_HOME="+home),
		chromedp.WindowSize(1280, 900),
		chromedp.NoSandbox, // which root cannot have
		chromedp.DisableGPU,
		chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-quic", true),
		chromedp.Flag("ignore-certificate-errors-spki-list", base64.StdEncoding.EncodeToString(key[:])),
	)...)
	p := &page{test: t, loaded: map[network.ResourceType]int{}}
	ctx, leave := chromedp.NewContext(ctx, chromedp.WithListener(p.observe))
	p.ctx = ctx
	t.Cleanup(func() {
		leave()
		stop()
		cancel()
	})
	_, err = chromedp.Call(ctx, network.Enable, network.EnableParams{})
	require.NoError(t, err, "start Chromium")
	return p
}

func (p *page) observe(event any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch event := event.(type) {
	case *network.EventResponseReceived:
		if event.Response.Status >= http.StatusBadRequest {
			p.failed = append(p.failed, fmt.Sprint(event.Response.Status, " ", event.Response.URL))
			return
		}
		p.loaded[event.Type]++
	case *network.EventLoadingFailed:
		// Whoever leaves a page cancels what it still loads.
		if !event.Canceled {
			p.failed = append(p.failed, fmt.Sprint(event.Type, " ", event.ErrorText))
		}
	}
}

// see does something within half a minute and returns what it sees.
func see[T any](p *page, what string, action chromedp.Action[T]) T {
	p.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, 30*time.Second)
	defer cancel()
	seen, err := chromedp.Run(ctx, action)
	if err != nil {
		p.screenshot("failed")
	}
	require.NoError(p, err, what)
	return seen
}

// do does things one after the other within half a minute.
func (p *page) do(what string, steps ...chromedp.Action[chromedp.Void]) {
	p.Helper()
	see(p, what, chromedp.Steps(steps...))
}

// screenshot saves what the page looks like, for people.
func (p *page) screenshot(name string) {
	p.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, 30*time.Second)
	defer cancel()
	picture, err := chromedp.Run(ctx, chromedp.CaptureScreenshot())
	require.NoError(p, err)
	folder := filepath.Join(p.folder, "screenshots")
	require.NoError(p, os.MkdirAll(folder, 0o755))
	require.NoError(p, os.WriteFile(filepath.Join(folder, name+".png"), picture, 0o644))
}

// complete sees that the browser got all that its pages are made of.
func (p *page) complete() {
	p.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	assert.Empty(p, p.failed)
	for _, kind := range []network.ResourceType{network.ResourceTypeDocument, network.ResourceTypeStylesheet, network.ResourceTypeScript} {
		assert.Positive(p, p.loaded[kind], "%s", kind)
	}
}

// What a login leads to.
const (
	pmaInside  = `//*[@id="pma_navigation_tree"]`
	pmaRefused = `//*[contains(@class, "alert-danger") and contains(., "Access denied for user")]`
)

// phpmyadminEnter fills in the login form and waits for what it leads to.
func (p *page) phpmyadminEnter(base, password, leadsTo string) {
	p.Helper()
	p.do("log in to "+base,
		chromedp.Navigate(base),
		chromedp.WaitVisible(chromedp.CSS("#input_username")),
		// Not typed: the page's own script moves the focus.
		chromedp.SetValue(chromedp.CSS("#input_username"), p.secret("mysql-phpmyadmin", "username")),
		chromedp.SetValue(chromedp.CSS("#input_password"), password),
		chromedp.Click(chromedp.CSS("#input_go")),
		chromedp.WaitVisible(leadsTo),
	)
}

func phpmyadminLogin(t *test, base, name string) {
	p := t.chromium()
	p.do("open "+base, chromedp.Navigate(base), chromedp.WaitVisible(chromedp.CSS("#input_username")))
	p.screenshot(name + "-login")
	p.phpmyadminEnter(base, "wrong", pmaRefused)
	p.phpmyadminEnter(base, t.secret("mysql-phpmyadmin", "password"), pmaInside)
	p.do("look around", chromedp.WaitVisible(pmaInside+`//a[normalize-space()="wordpress"]`))
	location := see(p, "read the address", chromedp.Location())
	assert.True(t, strings.HasPrefix(location, base), location)
	assert.Contains(t, see(p, "read the server's name", chromedp.Text(chromedp.CSS("#server-breadcrumb"))), "mysql")
	p.screenshot(name + "-home")
	p.complete()
}

// wordpressSQL runs statements as WordPress's own account, whose password goes through stdin.
func (t *test) wordpressSQL(ctx context.Context, statements string) (string, error) {
	password, err := t.stack.Secret(ctx, "mysql-wordpress", "password")
	if err != nil {
		return "", err
	}
	script := `IFS= read -r MYSQL_PWD; export MYSQL_PWD
exec mariadb --no-defaults --batch --skip-column-names --protocol=tcp --host=127.0.0.1 --user=wordpress wordpress`
	output, err := t.stack.Exec(ctx, strings.NewReader(password+"\n"+statements), "deploy/mysql", "", "sh", "-c", script)
	return strings.TrimSpace(output), err
}

func changedPassword(t *test) {
	const query = "SELECT user_pass FROM wp_users WHERE user_login = 'edgar';"
	secret, changed := t.secret("wordpress-users", "edgar"), token()
	_, in := t.wordpressLogin("edgar", secret)
	require.Equal(t, http.StatusFound, in.Code, "before the change")
	original, err := t.wordpressSQL(t.Context(), query)
	require.NoError(t, err)
	require.NotEmpty(t, original)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		restored, err := t.wordpressSQL(ctx, fmt.Sprintf("UPDATE wp_users SET user_pass = UNHEX('%x') WHERE user_login = 'edgar'; %s", original, query))
		assert.NoError(t, err)
		assert.Equal(t, original, restored, "the old password is back")
	})

	base := t.stack.URL("https", phpmyadminPort, "/")
	p := t.chromium()
	p.phpmyadminEnter(base, t.secret("mysql-phpmyadmin", "password"), pmaInside)
	const row = `//tr[.//input[@value="user_pass"]]`
	p.do("open edgar's row",
		chromedp.Navigate(base+"index.php?route=/sql&db=wordpress&table=wp_users&pos=0"),
		chromedp.WaitVisible(`//table[contains(@class, "table_results")]//tr[td[normalize-space()="edgar"]]`),
	)
	p.screenshot("phpmyadmin-users")
	p.do("edit edgar's row",
		chromedp.Click(`//tr[td[normalize-space()="edgar"]]/td[contains(@class, "edit_row_anchor")]//a`),
		chromedp.WaitVisible(row+"//textarea"),
		chromedp.SetValue(row+"//select", "MD5"),
		chromedp.SetValue(row+"//textarea", changed),
	)
	p.screenshot("phpmyadmin-edit")
	p.do("save edgar's row",
		chromedp.Click(chromedp.CSS("#buttonYes")),
		chromedp.WaitVisible(chromedp.CSS(".alert-success")),
	)
	assert.Contains(t, see(p, "read the result", chromedp.Text(chromedp.CSS(".alert-success"))), "1 row affected")
	p.screenshot("phpmyadmin-changed")
	p.complete()

	_, in = t.wordpressLogin("edgar", secret)
	assert.Equal(t, http.StatusOK, in.Code, "the old password is refused")
	browser, in := t.wordpressLogin("edgar", changed)
	assert.Equal(t, http.StatusFound, in.Code, "the new password is accepted")
	assert.Equal(t, http.StatusOK, t.get(browser, t.wordpress("/wp-admin/profile.php")).Code)
}
