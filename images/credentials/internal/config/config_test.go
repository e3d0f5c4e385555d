package config_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ft-services/ft-services/images/credentials/internal/config"
)

const (
	authority = "- {name: ca, authority: {commonName: test, days: 400, renewBeforeDays: 90}}\n"
	users     = "- {name: users, values: {alice: {random: 16}}}\n"
)

func TestParse(t *testing.T) {
	secrets, err := config.Parse([]byte("secrets:\n" + authority + users +
		"- {name: tls, certificate: {authority: ca, services: [a, b], days: 90, renewBeforeDays: 30}}\n" +
		"- {name: file, values: {passwd: {passwd: {users: users, uid: 7, gid: 8, homes: /srv}}, user: {text: root}}}\n"))
	require.NoError(t, err)
	require.Len(t, secrets, 4)
	require.Equal(t, 90, secrets[0].Authority.RenewBeforeDays)
	require.Equal(t, []string{"a", "b"}, secrets[2].Certificate.Services)
	require.Equal(t, &config.Passwd{Users: "users", UID: 7, GID: 8, Homes: "/srv"}, secrets[3].Values["passwd"].Passwd)
}

func TestParseRefuses(t *testing.T) {
	for name, test := range map[string]struct{ text, want string }{
		"nothing":             {"", "no secrets are declared"},
		"a typing error":      {"- {name: x, vlaues: {}}", `unknown field "vlaues"`},
		"a name twice":        {users + users, "declared twice"},
		"a bad name":          {"- {name: A_b, values: {k: {text: x}}}", "name: "},
		"no kind":             {"- {name: x}", "exactly one of authority"},
		"two kinds":           {"- {name: x, authority: {commonName: a, days: 9, renewBeforeDays: 1}, values: {k: {text: x}}}", "exactly one of authority"},
		"a bad key":           {"- {name: x, values: {a/b: {text: x}}}", `key "a/b": `},
		"no value":            {"- {name: x, values: {k: {}}}", "exactly one of text"},
		"two values":          {"- {name: x, values: {k: {text: x, random: 20}}}", "exactly one of text"},
		"a weak password":     {"- {name: x, values: {k: {random: 8}}}", "random must be from 16"},
		"a negative length":   {"- {name: x, values: {k: {random: -1}}}", "random must be from 16"},
		"unknown users":       {"- {name: x, values: {k: {passwd: {users: users, uid: 1, gid: 1, homes: /h}}}}", `no values "users" are declared above`},
		"users below":         {"- {name: x, values: {k: {passwd: {users: users, uid: 1, gid: 1, homes: /h}}}}\n" + users, "above"},
		"root":                {users + "- {name: x, values: {k: {passwd: {users: users, gid: 1, homes: /h}}}}", "uid and gid"},
		"relative homes":      {users + "- {name: x, values: {k: {passwd: {users: users, uid: 1, gid: 1, homes: h}}}}", "absolute path"},
		"no name":             {"- {name: x, authority: {days: 9, renewBeforeDays: 1}}", "commonName is missing"},
		"endless renewal":     {"- {name: x, authority: {commonName: x, days: 9, renewBeforeDays: 9}}", "less than days"},
		"endless validity":    {"- {name: x, authority: {commonName: x, days: 36501, renewBeforeDays: 1}}", "days must be at most 36500"},
		"never renewed":       {"- {name: x, authority: {commonName: x, days: 9}}", "at least 1"},
		"an unknown issuer":   {"- {name: x, certificate: {authority: ca, services: [a], days: 9, renewBeforeDays: 1}}", `no authority "ca"`},
		"no service":          {authority + "- {name: x, certificate: {authority: ca, days: 9, renewBeforeDays: 1}}", "services are missing"},
		"a service twice":     {authority + "- {name: x, certificate: {authority: ca, services: [a, a], days: 9, renewBeforeDays: 1}}", "named twice"},
		"a bad service":       {authority + "- {name: x, certificate: {authority: ca, services: [a.b], days: 9, renewBeforeDays: 1}}", `service "a.b"`},
		"an early end of ca":  {authority + "- {name: x, certificate: {authority: ca, services: [a], days: 91, renewBeforeDays: 1}}", "outlives the authority"},
		"a value of no shape": {"- {name: x, values: {k: secret}}", "cannot unmarshal"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := config.Parse([]byte("secrets:\n" + test.text))
			require.ErrorContains(t, err, test.want)
		})
	}
}

func TestLoadNamesTheFile(t *testing.T) {
	_, err := config.Load("testdata/none.yaml")
	require.ErrorContains(t, err, "testdata/none.yaml")
}
