package generate_test

import (
	"crypto/x509"
	"encoding/pem"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/go-crypt/crypt/algorithm/shacrypt"
	"github.com/stretchr/testify/require"

	"github.com/ft-services/ft-services/images/credentials/internal/generate"
)

func TestRandom(t *testing.T) {
	seen := map[rune]bool{}
	for range 50 {
		text, err := generate.Random(64)
		require.NoError(t, err)
		require.Len(t, text, 64)
		for _, letter := range string(text) {
			require.Contains(t, generate.Alphabet, string(letter))
			seen[letter] = true
		}
	}
	require.Len(t, seen, len(generate.Alphabet), "3200 draws leave no letter out")
}

func accounts(passwords map[string][]byte) generate.Accounts {
	return generate.Accounts{Passwords: passwords, UID: 10001, GID: 10002, Homes: "/srv/ftps"}
}

func TestPasswd(t *testing.T) {
	passwords := map[string][]byte{"bob": []byte("b"), "alice": []byte("a")}
	first, err := generate.Passwd(accounts(passwords), nil)
	require.NoError(t, err)
	lines := strings.Split(string(first), "\n")
	require.Len(t, lines, 3)
	alice := strings.Split(lines[0], ":")
	require.Equal(t, []string{"10001", "10002", "", "/srv/ftps/alice", "/bin/false"}, alice[2:])
	require.Equal(t, "alice", alice[0])
	require.Regexp(t, `^\$6\$`, alice[1])
	digest, err := shacrypt.Decode(alice[1])
	require.NoError(t, err)
	require.True(t, digest.Match("a"))
	require.False(t, digest.Match("b"))

	again, err := generate.Passwd(accounts(passwords), first)
	require.NoError(t, err)
	require.Equal(t, string(first), string(again), "the same passwords keep their hashes")

	passwords["bob"] = []byte("new")
	delete(passwords, "alice")
	passwords["carol"] = []byte("c")
	changed, err := generate.Passwd(accounts(passwords), first)
	require.NoError(t, err)
	require.NotContains(t, string(changed), "alice")
	require.Contains(t, string(changed), "carol:$6$")
	require.NotContains(t, string(changed), lines[1])
}

func TestPasswdRefuses(t *testing.T) {
	for name, password := range map[string]string{"a:b": "x", "../x": "x", "a\nb": "x", "": "x", "Alice": "x", "empty": ""} {
		_, err := generate.Passwd(accounts(map[string][]byte{name: []byte(password)}), nil)
		require.Error(t, err, name)
	}
}

const (
	hour = time.Hour
	day  = 24 * hour
)

func TestCertificates(t *testing.T) {
	now := time.Now()
	server := generate.Server{Names: []string{"nginx", "nginx.web.svc"}, Address: netip.MustParseAddr("192.0.2.7")}
	authority, err := generate.Authority("test", now, now.Add(100*day))
	require.NoError(t, err)
	require.NoError(t, generate.CheckAuthority(authority, now, day))
	made, err := generate.Certificate(authority, server, now, now.Add(90*day))
	require.NoError(t, err)

	t.Run("clients accept it", func(t *testing.T) {
		roots := x509.NewCertPool()
		require.True(t, roots.AppendCertsFromPEM(authority.Certificate))
		block, _ := pem.Decode(made.Certificate)
		leaf, err := x509.ParseCertificate(block.Bytes)
		require.NoError(t, err)
		for _, name := range []string{"nginx", "nginx.web.svc", "192.0.2.7"} {
			_, err := leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: name})
			require.NoError(t, err, name)
		}
		_, err = leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: "mysql"})
		require.Error(t, err)
	})

	capped, err := generate.Certificate(authority, server, now, now.Add(101*day))
	require.NoError(t, err)

	other, err := generate.Authority("test", now, now.Add(100*day))
	require.NoError(t, err)
	for name, test := range map[string]struct {
		pair   generate.Pair
		ca     []byte
		server generate.Server
		now    time.Time
		want   string
	}{
		"good":                  {made, authority.Certificate, server, now, ""},
		"good to the last hour": {made, authority.Certificate, server, now.Add(60*day - hour), ""},
		"ends soon":             {made, authority.Certificate, server, now.Add(60*day + hour), "it ends at"},
		"ends with its issuer":  {capped, authority.Certificate, server, now.Add(99 * day), ""},
		"ended with its issuer": {capped, authority.Certificate, server, now.Add(100*day + hour), "it ends at"},
		"from the future":       {made, authority.Certificate, server, now.Add(-day), "only from"},
		"other names":           {made, authority.Certificate, generate.Server{Names: []string{"nginx"}, Address: server.Address}, now, "names have changed"},
		"other address":         {made, authority.Certificate, generate.Server{Names: server.Names, Address: netip.MustParseAddr("192.0.2.8")}, now, "address has changed"},
		"other authority":       {made, other.Certificate, server, now, "another authority"},
		"no authority":          {made, nil, server, now, "authority is unreadable"},
		"other key":             {generate.Pair{Certificate: made.Certificate, Key: other.Key}, authority.Certificate, server, now, "unreadable"},
		"nothing":               {generate.Pair{}, authority.Certificate, server, now, "unreadable"},
	} {
		t.Run(name, func(t *testing.T) {
			err := generate.CheckCertificate(test.pair, test.ca, test.server, test.now, 30*day)
			if test.want == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, test.want)
		})
	}
	require.ErrorContains(t, generate.CheckAuthority(made, now, day), "no certificate authority")
	require.ErrorContains(t, generate.CheckAuthority(authority, now.Add(99*day+hour), day), "it ends at")
}
