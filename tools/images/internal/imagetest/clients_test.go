//go:build imagetest

package imagetest

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/netip"
	"net/textproto"
	"net/url"
	"strings"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/dns/dnsmessage"

	"github.com/ft-services/ft-services/tools/images/internal/pod"
)

// secret returns a value that `credentials` made.
func (r *running) secret(name, key string) string {
	r.Helper()
	value := r.bench.store.data()[name][key]
	require.NotEmpty(r, value, "key %s of Secret %s", key, name)
	return string(value)
}

// trust verifies the servers' certificates by the stack's own authority.
func (r *running) trust() *tls.Config {
	pool := x509.NewCertPool()
	require.True(r, pool.AppendCertsFromPEM([]byte(r.secret("server-tls", "ca.crt"))))
	return &tls.Config{RootCAs: pool}
}

// browser keeps cookies and follows no redirect.
func (r *running) browser() *http.Client {
	transport := r.network.Transport()
	transport.TLSClientConfig = r.trust()
	jar, err := cookiejar.New(nil)
	require.NoError(r, err)
	return &http.Client{
		Transport: transport, Jar: jar, Timeout: askWithin,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// answer is a response that has been read.
type answer struct {
	code   int
	header http.Header
	body   string
}

func (r *running) do(client *http.Client, request *http.Request) answer {
	r.Helper()
	response, err := client.Do(request)
	require.NoError(r, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	require.NoError(r, err)
	return answer{response.StatusCode, response.Header, string(body)}
}

func (r *running) get(client *http.Client, address string) answer {
	r.Helper()
	request, err := http.NewRequestWithContext(r.Context(), http.MethodGet, address, nil)
	require.NoError(r, err)
	return r.do(client, request)
}

func (r *running) post(client *http.Client, address, contentType, body string) answer {
	r.Helper()
	request, err := http.NewRequestWithContext(r.Context(), http.MethodPost, address, strings.NewReader(body))
	require.NoError(r, err)
	request.Header.Set("Content-Type", contentType)
	return r.do(client, request)
}

func (r *running) postForm(client *http.Client, address string, form url.Values) answer {
	r.Helper()
	return r.post(client, address, "application/x-www-form-urlencoded", form.Encode())
}

// startDNS answers every question for an address with 127.0.0.1.
func startDNS(r *running) {
	connection, err := r.network.ListenPacket(53)
	require.NoError(r, err)
	r.Cleanup(func() { connection.Close() })
	go func() {
		buffer := make([]byte, 512)
		for {
			n, from, err := connection.ReadFrom(buffer)
			if err != nil {
				return
			}
			if reply, err := resolve(buffer[:n]); err == nil {
				_, _ = connection.WriteTo(reply, from)
			}
		}
	}()
}

func resolve(query []byte) ([]byte, error) {
	var message dnsmessage.Message
	if err := message.Unpack(query); err != nil {
		return nil, err
	}
	message.Response = true
	message.Additionals = nil
	for _, question := range message.Questions {
		if question.Type == dnsmessage.TypeA {
			message.Answers = append(message.Answers, dnsmessage.Resource{
				Header: dnsmessage.ResourceHeader{Name: question.Name, Class: dnsmessage.ClassINET, TTL: 5},
				Body:   &dnsmessage.AResource{A: netip.MustParseAddr("127.0.0.1").As4()},
			})
		}
	}
	return message.Pack()
}

// ftpsClient speaks explicit FTPS, passive only.
type ftpsClient struct {
	ctx      context.Context
	network  *pod.Network
	trust    *tls.Config
	passive  string // the address that the server must name
	text     *textproto.Conn
	raw      net.Conn
	lastPort int
}

func dialFTPS(ctx context.Context, network *pod.Network, trust *tls.Config, passive string) (*ftpsClient, error) {
	raw, err := network.DialContext(ctx, "tcp", "ftps:21")
	if err != nil {
		return nil, err
	}
	if err := raw.SetDeadline(time.Now().Add(askWithin)); err != nil {
		return nil, errors.Join(err, raw.Close())
	}
	trust = trust.Clone()
	trust.ServerName = "ftps"
	c := &ftpsClient{ctx: ctx, network: network, trust: trust, passive: passive, text: textproto.NewConn(raw), raw: raw}
	if _, _, err := c.text.ReadResponse(220); err != nil {
		return nil, errors.Join(fmt.Errorf("waiting for the greeting: %w", err), c.close())
	}
	return c, nil
}

func (c *ftpsClient) close() error { return c.text.Close() }

func (c *ftpsClient) command(expect int, format string, args ...any) (string, error) {
	verb, _, _ := strings.Cut(format, " ")
	if err := c.text.PrintfLine(format, args...); err != nil {
		return "", fmt.Errorf("%s: %w", verb, err)
	}
	_, message, err := c.text.ReadResponse(expect)
	if err != nil {
		return "", fmt.Errorf("%s: %w", verb, err)
	}
	return message, nil
}

// login makes the connection private and says who is there.
func (c *ftpsClient) login(user, password string) error {
	if _, err := c.command(234, "AUTH TLS"); err != nil {
		return err
	}
	private := tls.Client(c.raw, c.trust)
	if err := private.HandshakeContext(c.ctx); err != nil {
		return fmt.Errorf("handshake: %w", err)
	}
	c.text = textproto.NewConn(private)
	for _, step := range []struct {
		expect int
		line   string
	}{{200, "PBSZ 0"}, {200, "PROT P"}, {331, "USER " + user}, {230, "PASS " + password}, {200, "TYPE I"}} {
		if _, err := c.command(step.expect, "%s", step.line); err != nil {
			return fmt.Errorf("%s %w", strings.Fields(step.line)[0], err)
		}
	}
	return nil
}

// transfer opens a data connection, gives the command, and sends or receives.
func (c *ftpsClient) transfer(command string, upload []byte) ([]byte, error) {
	message, err := c.command(227, "PASV")
	if err != nil {
		return nil, err
	}
	var a, b, d, e, high, low int
	_, numbers, _ := strings.Cut(message, "(")
	if _, err := fmt.Sscanf(numbers, "%d,%d,%d,%d,%d,%d", &a, &b, &d, &e, &high, &low); err != nil {
		return nil, fmt.Errorf("reading %q: %w", message, err)
	}
	if address := fmt.Sprintf("%d.%d.%d.%d", a, b, d, e); address != c.passive {
		return nil, fmt.Errorf("the server names the address %s, not %s", address, c.passive)
	}
	c.lastPort = high<<8 | low
	raw, err := c.network.DialContext(c.ctx, "tcp", net.JoinHostPort("ftps", fmt.Sprint(c.lastPort)))
	if err != nil {
		return nil, err
	}
	defer raw.Close()
	if err := raw.SetDeadline(time.Now().Add(askWithin)); err != nil {
		return nil, err
	}
	if _, err := c.command(150, "%s", command); err != nil {
		return nil, fmt.Errorf("%s %w", command, err)
	}
	data := tls.Client(raw, c.trust)
	if upload != nil {
		if _, err = io.Copy(data, bytes.NewReader(upload)); err == nil {
			err = data.CloseWrite()
		}
	}
	// Also after an upload there is something to read: closing with the server's session tickets unread
	// would reset the connection, and what it has not yet taken would be lost.
	received, readErr := io.ReadAll(data)
	err = errors.Join(err, readErr)
	if err = errors.Join(err, data.Close()); err != nil {
		return nil, fmt.Errorf("%s: %w", command, err)
	}
	if _, _, err := c.text.ReadResponse(226); err != nil {
		return nil, fmt.Errorf("%s: %w", command, err)
	}
	return received, nil
}
