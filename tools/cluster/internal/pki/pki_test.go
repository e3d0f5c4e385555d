package pki

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"
)

var (
	server = Leaf{Name: "server", CommonName: "server", DNSNames: []string{"server.test"},
		Addresses: []netip.Addr{netip.MustParseAddr("10.0.0.1")}}
	client = Leaf{Name: "client", CommonName: "system:node:one", Organization: []string{"system:nodes"}, Client: true}
)

func newStore(t *testing.T) *Store {
	t.Helper()
	store := New(t.TempDir())
	require.NoError(t, store.Authority("ca", "test", server, client))
	return store
}

func (s *Store) read(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(s.dir, name))
	require.NoError(t, err)
	return string(data)
}

func TestMutualTLS(t *testing.T) {
	store := newStore(t)
	authority, _, err := store.load("ca")
	require.NoError(t, err)
	roots := x509.NewCertPool()
	roots.AddCert(authority)
	pair := func(name string) tls.Certificate {
		pair, err := tls.LoadX509KeyPair(store.Certificate(name), store.Key(name))
		require.NoError(t, err)
		return pair
	}
	// shake returns what the server learned of its client, and the client's error.
	shake := func(serverPair, clientPair tls.Certificate, name string) (tls.ConnectionState, error, error) {
		left, right := net.Pipe()
		defer left.Close()
		defer right.Close()
		serving := tls.Server(left, &tls.Config{Certificates: []tls.Certificate{serverPair}, ClientCAs: roots,
			ClientAuth: tls.RequireAndVerifyClientCert, SessionTicketsDisabled: true})
		done := make(chan error, 1)
		go func() { done <- serving.Handshake(); left.Close() }()
		calling := tls.Client(right, &tls.Config{Certificates: []tls.Certificate{clientPair}, RootCAs: roots, ServerName: name})
		clientErr := calling.Handshake()
		right.Close()
		serverErr := <-done
		return serving.ConnectionState(), serverErr, clientErr
	}

	for _, name := range []string{"server.test", "10.0.0.1"} {
		state, serverErr, clientErr := shake(pair("server"), pair("client"), name)
		require.NoError(t, serverErr)
		require.NoError(t, clientErr)
		assert.Equal(t, "system:node:one", state.PeerCertificates[0].Subject.CommonName)
		assert.Equal(t, []string{"system:nodes"}, state.PeerCertificates[0].Subject.Organization)
	}
	_, _, err = shake(pair("server"), pair("client"), "other.test")
	assert.ErrorContains(t, err, "not other.test", "a name that the certificate does not bear")
	_, err, _ = shake(pair("server"), pair("server"), "server.test")
	assert.ErrorContains(t, err, "incompatible key usage", "a server's certificate does not identify a client")
	_, _, err = shake(pair("client"), pair("client"), "server.test")
	assert.Error(t, err, "a client's certificate does not serve")
	stranger := newStore(t)
	foreign, err := tls.LoadX509KeyPair(stranger.Certificate("client"), stranger.Key("client"))
	require.NoError(t, err)
	_, err, _ = shake(pair("server"), foreign, "server.test")
	assert.ErrorContains(t, err, "unknown authority", "another authority's client")
}

func TestAuthorityAgain(t *testing.T) {
	tests := map[string]struct {
		change func(t *testing.T, store *Store)
		leaves []Leaf
		renews []string
		fails  string
	}{
		"nothing has changed":           {},
		"a leaf is missing":             {change: remove("server.crt"), renews: []string{"server.crt", "server.key"}},
		"a leaf's key":                  {change: remove("server.key"), renews: []string{"server.crt", "server.key"}},
		"the authority is gone":         {change: remove("ca.crt"), renews: []string{"ca.crt", "server.crt", "client.crt"}},
		"a leaf expires soon":           {change: later(leafLife - renewBefore + time.Hour), renews: []string{"server.crt", "client.crt"}},
		"a leaf expires later":          {change: later(leafLife - renewBefore - time.Hour)},
		"the authority expires":         {change: later(authorityLife - renewBefore + time.Hour), renews: []string{"ca.crt", "server.crt", "client.crt"}},
		"another address":               {leaves: []Leaf{{Name: "server", CommonName: "server", DNSNames: server.DNSNames, Addresses: []netip.Addr{netip.MustParseAddr("10.0.0.2")}}}, renews: []string{"server.crt"}},
		"another name":                  {leaves: []Leaf{{Name: "client", CommonName: "system:node:two", Organization: client.Organization, Client: true}}, renews: []string{"client.crt"}},
		"another group":                 {leaves: []Leaf{{Name: "client", CommonName: client.CommonName, Client: true}}, renews: []string{"client.crt"}},
		"a server that is a client too": {leaves: []Leaf{{Name: "server", CommonName: "server", DNSNames: server.DNSNames, Addresses: server.Addresses, Client: true}}, renews: []string{"server.crt"}},
		"a broken certificate":          {change: replace("server.crt", "x"), fails: "server.crt: no PEM block; remove the file"},
		"a broken key":                  {change: replace("server.key", "x"), fails: "server.key: no PEM block; remove the file"},
		"a key of another":              {change: swap("server.key", "client.key"), fails: "does not belong to"},
	}
	files := []string{"ca.crt", "server.crt", "server.key", "client.crt"}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			store := newStore(t)
			before := map[string]string{}
			for _, file := range files {
				before[file] = store.read(t, file)
			}
			if test.change != nil {
				test.change(t, store)
			}
			leaves := test.leaves
			if leaves == nil {
				leaves = []Leaf{server, client}
			}
			err := store.Authority("ca", "test", leaves...)
			if test.fails != "" {
				require.ErrorContains(t, err, test.fails)
				return
			}
			require.NoError(t, err)
			var renewed []string
			for _, file := range files {
				if store.read(t, file) != before[file] {
					renewed = append(renewed, file)
				}
			}
			assert.Subset(t, renewed, test.renews)
			if test.renews == nil {
				assert.Empty(t, renewed)
			}
		})
	}
}

func remove(name string) func(*testing.T, *Store) {
	return func(t *testing.T, store *Store) { require.NoError(t, os.Remove(filepath.Join(store.dir, name))) }
}

func replace(name, content string) func(*testing.T, *Store) {
	return func(t *testing.T, store *Store) {
		require.NoError(t, os.WriteFile(filepath.Join(store.dir, name), []byte(content), 0o600))
	}
}

func swap(name, other string) func(*testing.T, *Store) {
	return func(t *testing.T, store *Store) { replace(name, store.read(t, other))(t, store) }
}

func later(by time.Duration) func(*testing.T, *Store) {
	return func(_ *testing.T, store *Store) {
		store.now = func() time.Time { return time.Now().Add(by) }
	}
}

func TestFilesAreForTheirOwnerOnly(t *testing.T) {
	store := newStore(t)
	require.NoError(t, store.SigningKey("signer"))
	files, err := filepath.Glob(filepath.Join(store.dir, "*"))
	require.NoError(t, err)
	require.Len(t, files, 8, "three pairs and a signing key with its public half; no temporary file")
	for _, file := range files {
		info, err := os.Stat(file)
		require.NoError(t, err)
		assert.Equal(t, os.FileMode(0o600), info.Mode(), file)
	}
}

func TestSigningKeyStays(t *testing.T) {
	store := New(t.TempDir())
	require.NoError(t, store.SigningKey("signer"))
	private, public := store.read(t, "signer.key"), store.read(t, "signer.pub")
	require.NoError(t, os.Remove(store.PublicKey("signer")))
	require.NoError(t, store.SigningKey("signer"))
	assert.Equal(t, private, store.read(t, "signer.key"), "tokens that were signed stay valid")
	assert.Equal(t, public, store.read(t, "signer.pub"))
}

func TestKubeconfig(t *testing.T) {
	store := newStore(t)
	parse := func(options KubeconfigOptions) (cluster, user, context map[string]any) {
		data, err := store.Kubeconfig("https://10.0.0.1:6443", "ca", "client", options)
		require.NoError(t, err)
		var config struct {
			Clusters []struct{ Cluster map[string]any }
			Users    []struct{ User map[string]any }
			Contexts []struct{ Context map[string]any }
		}
		require.NoError(t, yaml.Unmarshal(data, &config))
		return config.Clusters[0].Cluster, config.Users[0].User, config.Contexts[0].Context
	}
	cluster, user, context := parse(KubeconfigOptions{})
	assert.Equal(t, map[string]any{"server": "https://10.0.0.1:6443", "certificate-authority": store.Certificate("ca")}, cluster)
	assert.Equal(t, map[string]any{"client-certificate": store.Certificate("client"), "client-key": store.Key("client")}, user)
	assert.NotContains(t, context, "namespace")

	cluster, user, context = parse(KubeconfigOptions{Embed: true, Namespace: "mine"})
	assert.NotEmpty(t, cluster["certificate-authority-data"])
	assert.NotContains(t, user, "client-key", "a file that can be copied refers to no other")
	assert.Equal(t, "mine", context["namespace"])
	assert.NotContains(t, cluster, "insecure-skip-tls-verify")
}
