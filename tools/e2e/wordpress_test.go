package e2e

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"image"
	"image/png"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/html"

	"github.com/ft-services/ft-services/tools/e2e/internal/stack"
)

// wordpressUsers have passwords in Secret wordpress-users. Who has a higher rank may do more.
var wordpressUsers = []struct {
	name, role string
	rank       int
}{
	{"olivia", "administrator", administrator},
	{"edgar", "editor", editor},
	{"anna", "author", author},
	{"sam", "subscriber", subscriber},
}

const (
	subscriber = iota
	author
	editor
	administrator
)

func wordpressChecks() []check {
	return []check{
		{"R9", "WordPress is installed, and nobody meets an installer", wordpressInstalled},
		{"R9", "every link of WordPress leads to the host and port that it was asked for", wordpressLinks},
		{"R9 G6", "one administrator, and users of different roles who may do what their role may", wordpressRoles},
		{"R9 G6", "WordPress refuses wrong passwords", wordpressRefuses},
		{"R9 G6", "every user comments on a post, and all can read it", wordpressComments},
		{"R9 G6", "the administrator edits a page, and it changes", wordpressEdits},
		{"R9", "an uploaded picture is served as it was, until it is deleted", wordpressUploads},
		{"R9 G6", "a browser shows WordPress's front page and the administrator's dashboard", wordpressInBrowser},
	}
}

func (t *test) wordpress(path string) string { return t.stack.URL("https", wordpressPort, path) }

// wordpressLogin fills in the login form and returns the browser and the answer.
func (t *test) wordpressLogin(user, password string) (*http.Client, stack.Answer) {
	t.Helper()
	browser := t.stack.Browser()
	page := t.get(browser, t.wordpress("/wp-login.php"))
	require.Equal(t, http.StatusOK, page.Code)
	_, fields := t.form(page.Body, "loginform")
	fields.Set("log", user)
	fields.Set("pwd", password)
	return browser, t.postForm(browser, t.wordpress("/wp-login.php"), fields)
}

// wordpressAuthor is somebody who has logged in and uses what the editor in the browser uses.
type wordpressAuthor struct {
	*test
	browser *http.Client
	nonce   string
}

func (t *test) wordpressAuthor(user string) *wordpressAuthor {
	t.Helper()
	browser, in := t.wordpressLogin(user, t.secret("wordpress-users", user))
	require.Equal(t, http.StatusFound, in.Code, "login of %s", user)
	require.Contains(t, in.Header.Get("Location"), t.wordpress("/wp-admin/"), user)
	nonce := t.get(browser, t.wordpress("/wp-admin/admin-ajax.php?action=rest-nonce"))
	require.Equal(t, http.StatusOK, nonce.Code, user)
	return &wordpressAuthor{t, browser, nonce.Body}
}

// thing is what WordPress says of a post, a page or a file.
type thing struct {
	ID        int    `json:"id"`
	Link      string `json:"link"`
	SourceURL string `json:"source_url"`
}

// api sends something to WordPress's REST interface: values as JSON, bytes as a file.
func (w *wordpressAuthor) api(ctx context.Context, method, route string, content any) (stack.Answer, error) {
	header := http.Header{"X-Wp-Nonce": {w.nonce}}
	var body io.Reader
	switch content := content.(type) {
	case nil:
	case []byte:
		body = bytes.NewReader(content)
		header.Set("Content-Type", http.DetectContentType(content))
		header.Set("Content-Disposition", `attachment; filename="`+token()+`.png"`)
	default:
		data, err := json.Marshal(content)
		if err != nil {
			return stack.Answer{}, err
		}
		body = bytes.NewReader(data)
		header.Set("Content-Type", "application/json")
	}
	request, err := http.NewRequestWithContext(ctx, method, w.wordpress("/wp-json/wp/v2"+route), body)
	if err != nil {
		return stack.Answer{}, err
	}
	request.Header = header
	return stack.Do(w.browser, request)
}

// send does the same and reads the answer; what is made is deleted when the check ends.
func (w *wordpressAuthor) send(method, route string, content any) (int, thing) {
	w.Helper()
	answer, err := w.api(w.Context(), method, route, content)
	require.NoError(w, err)
	var made thing
	if answer.Code >= http.StatusBadRequest {
		return answer.Code, made
	}
	require.NoError(w, json.Unmarshal([]byte(answer.Body), &made), answer.Body)
	if answer.Code == http.StatusCreated {
		w.Cleanup(func() {
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			gone, err := w.api(ctx, http.MethodDelete, fmt.Sprintf("%s/%d?force=true", route, made.ID), nil)
			assert.NoError(w, err)
			assert.Contains(w, []int{http.StatusOK, http.StatusNotFound}, gone.Code, "clean up %s %d: %s", route, made.ID, gone.Body)
		})
	}
	return answer.Code, made
}

func (w *wordpressAuthor) publish(route, content string) thing {
	w.Helper()
	code, made := w.send(http.MethodPost, route, map[string]string{"title": "e2e " + token(), "content": content, "status": "publish"})
	require.Equal(w, http.StatusCreated, code, route)
	require.True(w, strings.HasPrefix(made.Link, w.wordpress("/")), made.Link)
	return made
}

// token is a word that stands nowhere yet.
func token() string { return strings.ToLower(rand.Text()) }

// elements calls visit for every element of a page.
func (t *test) elements(page string, visit func(element *html.Node, attribute map[string]string)) {
	t.Helper()
	document, err := html.Parse(strings.NewReader(page))
	require.NoError(t, err)
	for node := range document.Descendants() {
		if node.Type == html.ElementNode {
			attributes := map[string]string{}
			for _, attribute := range node.Attr {
				attributes[attribute.Key] = attribute.Val
			}
			visit(node, attributes)
		}
	}
}

// form is where a form of a page is sent, and what is filled in already.
func (t *test) form(page, id string) (action string, fields url.Values) {
	t.Helper()
	fields = url.Values{}
	t.elements(page, func(element *html.Node, attribute map[string]string) {
		if element.Data == "form" && attribute["id"] == id {
			action = attribute["action"]
		}
		if element.Data != "input" || attribute["type"] == "checkbox" || attribute["name"] == "" {
			return
		}
		for ancestor := range element.Ancestors() {
			for _, a := range ancestor.Attr {
				if ancestor.Data == "form" && a.Key == "id" && a.Val == id {
					fields.Set(attribute["name"], attribute["value"])
				}
			}
		}
	})
	require.NotEmpty(t, action, "the page has no form %s", id)
	return action, fields
}

func wordpressInstalled(t *test) {
	browser := t.stack.Browser()
	page := t.get(browser, t.wordpress("/"))
	assert.Equal(t, http.StatusOK, page.Code)
	assert.Contains(t, page.Body, "<title>ft_services")
	assert.Equal(t, "nginx", page.Header.Get("Server"))
	for _, path := range []string{"install.php", "setup-config.php", "upgrade.php"} {
		answer := t.get(browser, t.wordpress("/wp-admin/"+path))
		assert.Equal(t, http.StatusForbidden, answer.Code, path)
	}
	answer := t.get(browser, t.wordpress("/wp-admin/"))
	assert.Equal(t, http.StatusFound, answer.Code)
	assert.True(t, strings.HasPrefix(answer.Header.Get("Location"), t.wordpress("/wp-login.php?")), answer.Header.Get("Location"))
}

func wordpressLinks(t *test) {
	browser := t.stack.Browser()
	for _, host := range []string{fmt.Sprintf("%s:%d", t.stack.Address, wordpressPort), fmt.Sprintf("%s:%d", otherHost, wordpressPort)} {
		front := t.ask(browser, http.MethodGet, host, t.wordpress("/"))
		require.Equal(t, http.StatusOK, front.Code, host)
		paths := map[string]bool{}
		t.elements(front.Body, func(element *html.Node, attribute map[string]string) {
			for _, name := range []string{"href", "src", "action"} {
				link, err := url.Parse(attribute[name])
				require.NoError(t, err)
				// WordPress's theme names its makers, as text with a link.
				if link.Host == "" && link.Path == "" || element.Data == "a" && link.Host == "wordpress.org" {
					continue
				}
				if link.Host != "" {
					assert.Equal(t, "https://"+host, link.Scheme+"://"+link.Host, "<%s %s=%s>", element.Data, name, link)
				}
				// The interface of remote editors is closed, but advertised.
				if link.Path != "/xmlrpc.php" {
					paths[link.RequestURI()] = true
				}
			}
		})
		assert.Greater(t, len(paths), 5)
		for path := range paths {
			assert.Equal(t, http.StatusOK, t.ask(browser, http.MethodGet, host, t.wordpress(path)).Code, "%s%s", host, path)
		}
	}
}

func wordpressRoles(t *test) {
	users := map[string]*wordpressAuthor{}
	for _, user := range wordpressUsers {
		users[user.name] = t.wordpressAuthor(user.name)
	}
	answer, err := users["olivia"].api(t.Context(), http.MethodGet, "/users?context=edit&per_page=100", nil)
	require.NoError(t, err)
	var accounts []struct {
		Username, Name, Slug string
		Roles                []string
	}
	require.NoError(t, json.Unmarshal([]byte(answer.Body), &accounts), answer.Body)
	byRole := map[string][]string{}
	for _, account := range accounts {
		require.Len(t, account.Roles, 1, account.Username)
		byRole[account.Roles[0]] = append(byRole[account.Roles[0]], account.Username)
		if account.Roles[0] == "administrator" {
			assert.NotContains(t, strings.ToLower(account.Username+account.Name+account.Slug), "admin")
		}
	}
	assert.Len(t, byRole["administrator"], 1)
	assert.GreaterOrEqual(t, len(byRole), 4, "roles: %v", byRole)
	for _, user := range wordpressUsers {
		assert.Contains(t, byRole[user.role], user.name)
	}

	// What is not allowed is 403, on the pages as in the editor's interface.
	pages := map[string]int{
		"profile.php": subscriber, "edit.php": author, "upload.php": author,
		"edit.php?post_type=page": editor, "edit-tags.php?taxonomy=category": editor,
		"users.php": administrator, "options-general.php": administrator, "plugins.php": administrator, "themes.php": administrator,
	}
	foreign := users["olivia"].publish("/posts", "")
	acts := []struct {
		method, route string
		content       any
		rank          int
	}{
		{http.MethodGet, "/users/me", nil, subscriber},
		{http.MethodPost, "/posts", map[string]string{"title": "e2e"}, author},
		{http.MethodPost, "/media", picture(t), author},
		{http.MethodPost, "/pages", map[string]string{"title": "e2e"}, editor},
		{http.MethodPost, fmt.Sprint("/posts/", foreign.ID), map[string]string{"title": "e2e edited"}, editor},
		{http.MethodGet, "/settings", nil, administrator},
	}
	for _, user := range wordpressUsers {
		for page, rank := range pages {
			code := t.get(users[user.name].browser, t.wordpress("/wp-admin/"+page)).Code
			assert.Equal(t, allowed(user.rank >= rank), code, "%s: %s", user.name, page)
		}
		for _, act := range acts {
			code, _ := users[user.name].send(act.method, act.route, act.content)
			if code == http.StatusCreated {
				code = http.StatusOK
			}
			assert.Equal(t, allowed(user.rank >= act.rank), code, "%s: %s %s", user.name, act.method, act.route)
		}
	}
}

func allowed(is bool) int {
	if is {
		return http.StatusOK
	}
	return http.StatusForbidden
}

func wordpressRefuses(t *test) {
	for _, user := range []string{"olivia", "edgar", "anna", "sam", "admin"} {
		browser, answer := t.wordpressLogin(user, "wrong")
		assert.Equal(t, http.StatusOK, answer.Code, user)
		assert.Contains(t, answer.Body, `id="login_error"`, user)
		assert.Equal(t, http.StatusFound, t.get(browser, t.wordpress("/wp-admin/profile.php")).Code, "%s is in", user)
	}
}

func wordpressComments(t *test) {
	post := t.wordpressAuthor("olivia").publish("/posts", "to be commented on")
	written := map[string]string{}
	for _, user := range wordpressUsers {
		who := t.wordpressAuthor(user.name)
		page := t.get(who.browser, post.Link)
		require.Equal(t, http.StatusOK, page.Code)
		action, fields := t.form(page.Body, "commentform")
		require.Equal(t, t.wordpress("/wp-comments-post.php"), action)
		written[user.name] = user.name + " writes " + token()
		fields.Set("comment", written[user.name])
		answer := t.postForm(who.browser, action, fields)
		require.Equal(t, http.StatusFound, answer.Code, "%s: %s", user.name, answer.Body)
		assert.Regexp(t, `#comment-\d+$`, answer.Header.Get("Location"))
	}
	reader := t.stack.Browser()
	page := t.get(reader, post.Link)
	for user, comment := range written {
		assert.Contains(t, page.Body, comment, user)
	}
	unwanted := "a stranger writes " + token()
	answer := t.postForm(reader, t.wordpress("/wp-comments-post.php"), url.Values{
		"comment": {unwanted}, "comment_post_ID": {fmt.Sprint(post.ID)}, "author": {"x"}, "email": {"x@example.test"},
	})
	assert.Equal(t, http.StatusForbidden, answer.Code, "only who has an account comments")
	assert.NotContains(t, t.get(reader, post.Link).Body, unwanted)
}

func wordpressEdits(t *test) {
	before, after := "first "+token(), "then "+token()
	olivia := t.wordpressAuthor("olivia")
	page := olivia.publish("/pages", before)
	reader := t.stack.Browser()
	shown := t.get(reader, page.Link)
	assert.Equal(t, http.StatusOK, shown.Code)
	assert.Contains(t, shown.Body, before)
	edit := t.get(olivia.browser, t.wordpress(fmt.Sprintf("/wp-admin/post.php?post=%d&action=edit", page.ID)))
	assert.Equal(t, http.StatusOK, edit.Code)
	assert.Contains(t, edit.Body, before, "the editor shows the page")

	code, _ := olivia.send(http.MethodPost, fmt.Sprint("/pages/", page.ID), map[string]string{"content": after})
	require.Equal(t, http.StatusOK, code)
	shown = t.get(reader, page.Link)
	assert.Contains(t, shown.Body, after)
	assert.NotContains(t, shown.Body, before)
}

// picture is one that no upload has ever seen.
func picture(t *test) []byte {
	t.Helper()
	noise := image.NewRGBA(image.Rect(0, 0, 200, 200))
	_, _ = rand.Read(noise.Pix) // it never fails
	var file bytes.Buffer
	require.NoError(t, png.Encode(&file, noise))
	return file.Bytes()
}

func wordpressUploads(t *test) {
	olivia, content := t.wordpressAuthor("olivia"), picture(t)
	code, made := olivia.send(http.MethodPost, "/media", content)
	require.Equal(t, http.StatusCreated, code)
	require.True(t, strings.HasPrefix(made.SourceURL, t.wordpress("/wp-content/uploads/")), made.SourceURL)
	reader := t.stack.Browser()
	file := t.get(reader, made.SourceURL)
	assert.Equal(t, http.StatusOK, file.Code)
	assert.Equal(t, "image/png", file.Header.Get("Content-Type"))
	assert.True(t, string(content) == file.Body, "it is served as it was")
	code, _ = olivia.send(http.MethodDelete, fmt.Sprintf("/media/%d?force=true", made.ID), nil)
	require.Equal(t, http.StatusOK, code)
	assert.Equal(t, http.StatusNotFound, t.get(reader, made.SourceURL).Code)
}

func wordpressInBrowser(t *test) {
	p := t.chromium()
	p.do("open the front page", chromedp.Navigate(t.wordpress("/")), chromedp.WaitVisible(chromedp.CSS("h1")))
	p.screenshot("wordpress-front")
	p.do("log in",
		chromedp.Navigate(t.wordpress("/wp-login.php")),
		chromedp.WaitVisible(chromedp.CSS("#user_login")),
		// Not typed: the page's own script moves the focus.
		chromedp.SetValue(chromedp.CSS("#user_login"), "olivia"),
		chromedp.SetValue(chromedp.CSS("#user_pass"), t.secret("wordpress-users", "olivia")),
		chromedp.Click(chromedp.CSS("#wp-submit")),
		chromedp.WaitVisible(chromedp.CSS("#dashboard-widgets")),
	)
	p.screenshot("wordpress-dashboard")
	p.complete()
}
