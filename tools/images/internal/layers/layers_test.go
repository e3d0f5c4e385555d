package layers

import (
	"archive/tar"
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io"
	"math/big"
	"os"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ft-services/ft-services/tools/images/internal/layers/tiny"
)

// value is every secret in these tests; no finding may show it.
const value = "ThisMustNotBePrinted"

type dirty struct {
	rule    string
	path    string // where the finding is expected
	entries []tiny.Entry
	upper   []tiny.Entry // a second layer
	config  func(*v1.ConfigFile)
}

func dirtyImages(t *testing.T) map[string]dirty {
	keys := privateKeys(t)
	rsaKey := string(pem.EncodeToMemory(keys["RSA"]))
	images := map[string]dirty{
		"setuid":              {rule: "setuid", path: "usr/bin/su", entries: []tiny.Entry{tiny.File("usr/bin/su", "x").Mode(0o4755)}},
		"setgid":              {rule: "setuid", path: "usr/bin/wall", entries: []tiny.Entry{tiny.File("./usr/bin/wall", "x").Mode(0o2755)}},
		"setuid by hard link": {rule: "setuid", path: "usr/bin/b", entries: []tiny.Entry{tiny.File("usr/bin/a", "x"), tiny.HardLink("usr/bin/b", "usr/bin/a", 0o4755)}},
		"hidden by an upper layer": {
			rule: "setuid", path: "usr/bin/su",
			entries: []tiny.Entry{tiny.File("usr/bin/su", "x").Mode(0o4755)}, upper: []tiny.Entry{tiny.File("usr/bin/su", "x").Mode(0o755)},
		},
		"capability": {rule: "file-capability", path: "usr/bin/ping", entries: []tiny.Entry{tiny.File("usr/bin/ping", "x").With(func(header *tar.Header) {
			header.PAXRecords = map[string]string{"SCHILY.xattr.security.capability": "\x01\x00\x00\x02"}
		})}},
		"character device": {rule: "device", path: "dev/null", entries: []tiny.Entry{{Header: tar.Header{Typeflag: tar.TypeChar, Name: "dev/null", Mode: 0o666, Devmajor: 1, Devminor: 3}}}},
		"block device":     {rule: "device", path: "dev/sda", entries: []tiny.Entry{{Header: tar.Header{Typeflag: tar.TypeBlock, Name: "dev/sda", Devmajor: 8}}}},

		"world-writable file":   {rule: "world-writable", path: "etc/x", entries: []tiny.Entry{tiny.File("etc/x", "").Mode(0o666)}},
		"world-writable folder": {rule: "world-writable", path: "var/tmp", entries: []tiny.Entry{tiny.Folder("var/tmp", 0o1777)}},
		"name begins like tmp":  {rule: "world-writable", path: "tmpfiles", entries: []tiny.Entry{tiny.Folder("tmpfiles", 0o777)}},
		"tmp without sticky":    {rule: "tmp-mode", path: "tmp", entries: []tiny.Entry{tiny.Folder("tmp", 0o777)}},
		"tmp not for all":       {rule: "tmp-mode", path: "tmp", entries: []tiny.Entry{tiny.Folder("tmp", 0o755)}},

		"key, indented":         {rule: "private-key", path: "etc/a.yaml", entries: []tiny.Entry{tiny.File("etc/a.yaml", "key: |\n  "+strings.ReplaceAll(rsaKey, "\n", "\n  "))}},
		"key, CRLF":             {rule: "private-key", path: "etc/a", entries: []tiny.Entry{tiny.File("etc/a", strings.ReplaceAll(rsaKey, "\n", "\r\n"))}},
		"key, without line end": {rule: "private-key", path: "etc/a", entries: []tiny.Entry{tiny.File("etc/a", strings.ReplaceAll(rsaKey, "\n", ""))}},
		"key, on one line":      {rule: "private-key", path: "etc/a", entries: []tiny.Entry{tiny.File("etc/a", strings.ReplaceAll(rsaKey, "\n", " "))}},
		"key, in JSON":          {rule: "private-key", path: "etc/a.json", entries: []tiny.Entry{tiny.File("etc/a.json", `{"key":`+quote(t, rsaKey)+`}`)}},
		"key, in a source":      {rule: "private-key", path: "a.js", entries: []tiny.Entry{tiny.File("a.js", `k = "`+strings.ReplaceAll(rsaKey, "\n", "\\n\" +\n    \"")+`";`)}},
		"key, in a program":     {rule: "private-key", path: "usr/bin/a", entries: []tiny.Entry{tiny.File("usr/bin/a", string(testBinary(t))+rsaKey+"\x00more")}},
		"key, behind a certificate": {rule: "private-key", path: "etc/a.pem", entries: []tiny.Entry{
			tiny.File("etc/a.pem", certificate(t)+rsaKey),
		}},
		"key, in the folder of an exception": {rule: "private-key", path: "usr/lib/x86_64-linux-gnu/a.pem", entries: []tiny.Entry{
			tiny.File("usr/lib/x86_64-linux-gnu/a.pem", rsaKey),
		}},
		"PKCS #12":         {rule: "private-key", path: "etc/a.p12", entries: []tiny.Entry{tiny.File("etc/a.p12", value)}},
		"DER":              {rule: "private-key", path: "etc/a.key", entries: []tiny.Entry{tiny.File("etc/a.key", string(keys["RSA"].Bytes))}},
		"SSH by its name":  {rule: "private-key", path: "root/.ssh/id_rsa_old", entries: []tiny.Entry{tiny.File("root/.ssh/id_rsa_old", value)}},
		"shadow":           {rule: "password-hash", path: "etc/shadow", entries: []tiny.Entry{tiny.File("etc/shadow", "daemon:*:1::::::\nroot:$6$"+value+":1::::::\n")}},
		"locked shadow":    {rule: "password-hash", path: "etc/shadow-", entries: []tiny.Entry{tiny.File("etc/shadow-", "root:!$6$"+value+":1::::::\n")}},
		"empty password":   {rule: "password-hash", path: "etc/shadow", entries: []tiny.Entry{tiny.File("etc/shadow", "root::1::::::\n")}},
		"gshadow":          {rule: "password-hash", path: "etc/gshadow", entries: []tiny.Entry{tiny.File("etc/gshadow", "staff:$6$"+value+"::\n")}},
		"hash in passwd":   {rule: "password-hash", path: "etc/passwd", entries: []tiny.Entry{tiny.File("etc/passwd", "root:"+value+":0:0::/:/bin/sh\n")}},
		"hash elsewhere":   {rule: "password-hash", path: "etc/proftpd/ftpd.passwd", entries: []tiny.Entry{tiny.File("etc/proftpd/ftpd.passwd", "# alice\nalice:$6$salt$"+value+":10001:10001::/:\n")}},
		"debconf":          {rule: "password-file", path: "var/cache/debconf/passwords.dat", entries: []tiny.Entry{tiny.File("var/cache/debconf/passwords.dat", "Value: "+value)}},
		".my.cnf":          {rule: "password-file", path: "root/.my.cnf", entries: []tiny.Entry{tiny.File("root/.my.cnf", "[client]\npassword="+value)}},
		".netrc":           {rule: "password-file", path: ".netrc", entries: []tiny.Entry{tiny.File(".netrc", "machine a login b password "+value)}},
		".pgpass":          {rule: "password-file", path: "home/a/.pgpass", entries: []tiny.Entry{tiny.File("home/a/.pgpass", "*:*:*:*:"+value)}},
		"mirror's account": {rule: "password-file", path: "etc/apt/auth.conf.d/a", entries: []tiny.Entry{tiny.File("etc/apt/auth.conf.d/a", "password "+value)}},
		"WordPress": {rule: "password-setting", path: "etc/wordpress/config-default.php", entries: []tiny.Entry{
			tiny.File("etc/wordpress/config-default.php", "<?php\ndefine('DB_NAME', 'wordpress');\ndefine( \"DB_PASSWORD\", '"+value+"' );\n"),
		}},
		"WordPress's salt": {rule: "password-setting", path: "a/wp-config.php", entries: []tiny.Entry{
			tiny.File("a/wp-config.php", "<?php\ndefine('DB_PASSWORD', 'password_here');\ndefine('NONCE_SALT',  '"+value+"');\n"),
		}},
		"phpMyAdmin": {rule: "password-setting", path: "var/lib/phpmyadmin/blowfish_secret.inc.php", entries: []tiny.Entry{
			tiny.File("var/lib/phpmyadmin/blowfish_secret.inc.php", "<?php\n$cfg['blowfish_secret'] = '"+value+"';\n"),
		}},
		"phpMyAdmin's account": {rule: "password-setting", path: "etc/phpmyadmin/config.inc.php", entries: []tiny.Entry{
			tiny.File("etc/phpmyadmin/config.inc.php", "<?php\n$cfg['Servers'][$i]['password'] = \""+value+"\";\n"),
		}},
		"dbconfig-common": {rule: "password-setting", path: "etc/dbconfig-common/phpmyadmin.conf", entries: []tiny.Entry{
			tiny.File("etc/dbconfig-common/phpmyadmin.conf", "dbc_install='true'\ndbc_dbpass='"+value+"'\n"),
		}},
		"MariaDB's client":   {rule: "password-setting", path: "etc/mysql/my.cnf", entries: []tiny.Entry{tiny.File("etc/mysql/my.cnf", "[client]\n# none\npassword="+value+"\n")}},
		"Grafana":            {rule: "password-setting", path: "etc/grafana.ini", entries: []tiny.Entry{tiny.File("etc/grafana.ini", "[security]\n;admin_password = admin\nadmin_password = "+value+"\n")}},
		"Telegraf":           {rule: "password-setting", path: "etc/telegraf/telegraf.conf", entries: []tiny.Entry{tiny.File("etc/telegraf/telegraf.conf", "[[outputs.influxdb]]\n  password = \""+value+"\"\n")}},
		"environment file":   {rule: "password-setting", path: "srv/.env", entries: []tiny.Entry{tiny.File("srv/.env", "export API_TOKEN='"+value+"'\n")}},
		"Kubernetes":         {rule: "password-setting", path: "opt/values.yaml", entries: []tiny.Entry{tiny.File("opt/values.yaml", "db:\n  password: "+value+"\n")}},
		"package lists":      {rule: "package-cache", path: "var/lib/apt/lists/a_Packages", entries: []tiny.Entry{tiny.File("var/lib/apt/lists/a_Packages", "Package: a")}},
		"package archive":    {rule: "package-cache", path: "opt/a.deb", entries: []tiny.Entry{tiny.File("opt/a.deb", "!<arch>")}},
		"root's cache":       {rule: "package-cache", path: "root/.cache/a", entries: []tiny.Entry{tiny.File("root/.cache/a", "x")}},
		"debconf's database": {rule: "package-cache", path: "var/cache/debconf/config.dat", entries: []tiny.Entry{tiny.File("var/cache/debconf/config.dat", "x")}},
		"log":                {rule: "log", path: "var/log/dpkg.log", entries: []tiny.Entry{tiny.File("var/log/dpkg.log", "x")}},
		"shell history":      {rule: "log", path: "root/.bash_history", entries: []tiny.Entry{tiny.File("root/.bash_history", "x")}},
		"machine-id":         {rule: "machine-identity", path: "etc/machine-id", entries: []tiny.Entry{tiny.File("etc/machine-id", strings.Repeat("0a", 16)+"\n")}},

		"deleted file": {
			rule: "hidden-data", path: "etc/.wh.secret",
			entries: []tiny.Entry{tiny.File("etc/secret", value)}, upper: []tiny.Entry{tiny.File("etc/.wh.secret", "")},
		},
		"deleted folder": {
			rule: "hidden-data", path: "srv/.wh.data",
			entries: []tiny.Entry{tiny.File("srv/data/deep/secret", value)}, upper: []tiny.Entry{tiny.File("srv/.wh.data", "")},
		},
		"emptied folder": {
			rule: "hidden-data", path: "srv/.wh..wh..opq",
			entries: []tiny.Entry{tiny.File("srv/data/secret", value)}, upper: []tiny.Entry{tiny.File("srv/.wh..wh..opq", "")},
		},
		"unknown user":  {rule: "unknown-owner", path: "srv/a", entries: []tiny.Entry{tiny.File("etc/group", "svc:x:10001:\n"), tiny.File("srv/a", "").Owner(10001, 10001)}},
		"unknown group": {rule: "unknown-owner", path: "srv/a", entries: []tiny.Entry{tiny.File("srv/a", "").Owner(0, 42)}},

		"no user":              {rule: "user", path: "User", config: func(config *v1.ConfigFile) { config.Config.User = "" }},
		"root":                 {rule: "user", path: "User", config: func(config *v1.ConfigFile) { config.Config.User = "0" }},
		"root's group":         {rule: "user", path: "User", config: func(config *v1.ConfigFile) { config.Config.User = "10001:0" }},
		"user by name":         {rule: "user", path: "User", config: func(config *v1.ConfigFile) { config.Config.User = "svc:10001" }},
		"password variable":    {rule: "environment-secret", path: "Env MYSQL_ROOT_PASSWORD", config: func(config *v1.ConfigFile) { config.Config.Env = []string{"MYSQL_ROOT_PASSWORD=" + value} }},
		"key variable":         {rule: "environment-secret", path: "Env api_key", config: func(config *v1.ConfigFile) { config.Config.Env = []string{"PATH=/bin", "api_key=" + value} }},
		"build argument":       {rule: "history-secret", path: "History[1] GIT_TOKEN", config: history("|1 GIT_TOKEN=" + value + " /bin/sh -c true")},
		"variable in history":  {rule: "history-secret", path: "History[1] SECRET", config: history("/bin/sh -c #(nop) ENV SECRET=\"" + value + " more\"")},
		"unexpected port":      {rule: "exposed", path: "ExposedPorts 22/tcp", config: func(config *v1.ConfigFile) { config.Config.ExposedPorts = set("443/tcp", "22/tcp") }},
		"unexpected mount":     {rule: "exposed", path: "Volumes /var/lib/mysql", config: func(config *v1.ConfigFile) { config.Config.Volumes = set("/var/lib/mysql") }},
		"file not root's, too": {rule: "private-key", path: "srv/a", entries: []tiny.Entry{tiny.File("etc/passwd", "svc:x:10001:0::/:/bin/false"), tiny.File("srv/a", rsaKey).Owner(10001, 0)}},
	}
	for name, block := range keys {
		path := "etc/" + strings.ReplaceAll(name, " ", "-")
		images["key "+name] = dirty{rule: "private-key", path: path, entries: []tiny.Entry{tiny.File(path, "text before\n"+string(pem.EncodeToMemory(block)))}}
	}
	return images
}

func TestEachRuleFindsWhatItIsFor(t *testing.T) {
	found := map[string]bool{}
	for name, test := range dirtyImages(t) {
		t.Run(name, func(t *testing.T) {
			image := tiny.Image(t, test.entries, test.upper)
			if test.config != nil {
				image = configure(t, image, test.config)
			}
			findings, err := Check(image, Options{Exposed: []string{"443/tcp"}})
			require.NoError(t, err)
			var hit bool
			for _, finding := range findings {
				assert.NotContains(t, finding.String(), value)
				assert.NotEmpty(t, finding.Problem)
				hit = hit || (finding.Rule == test.rule && finding.Path == test.path)
			}
			assert.True(t, hit, "want %s at %s, have %v", test.rule, test.path, findings)
			// Debconf's passwords are its cache as well; otherwise one mistake is one finding.
			if name != "debconf" {
				assert.Len(t, findings, 1)
			}
		})
		found[test.rule] = true
	}
	for _, name := range ruleNames() {
		assert.True(t, found[name], "rule %s: no image here breaks it", name)
	}
}

func TestFindingNamesItsLayer(t *testing.T) {
	image := tiny.Image(t, []tiny.Entry{tiny.File("a", "")}, []tiny.Entry{tiny.File("usr/bin/su", "").Mode(0o4755)})
	layers, err := image.Layers()
	require.NoError(t, err)
	digest, err := layers[1].Digest()
	require.NoError(t, err)
	findings, err := Check(image, Options{})
	require.NoError(t, err)
	require.Len(t, findings, 1)
	assert.Equal(t, digest.String(), findings[0].Layer)
}

func TestMendsAreSentences(t *testing.T) {
	for _, rule := range fileRules() {
		assert.Regexp(t, `^[A-Z].*\.$`, rule.mend, rule.name)
	}
	for _, rule := range configRules() {
		assert.Regexp(t, `^[A-Z].*\.$`, rule.mend, rule.name)
	}
}

func TestExceptionsHaveAReason(t *testing.T) {
	for _, exception := range exceptions() {
		assert.Contains(t, ruleNames(), exception.rule)
		assert.NotEmpty(t, exception.reason, exception.path)
	}
}

func TestCleanImages(t *testing.T) {
	for name, test := range map[string]dirty{
		"certificates": {entries: []tiny.Entry{tiny.File("etc/ssl/certs/ca-certificates.crt", certificate(t)+certificate(t))}},
		"public keys":  {entries: []tiny.Entry{tiny.File("etc/a.pem", publicKey(t)), tiny.File("root/.ssh/id_ed25519.pub", "ssh-ed25519 AAAA")}},
		"a program with the words": {entries: []tiny.Entry{
			tiny.File("usr/bin/a", string(testBinary(t))).Mode(0o755),
		}},
		"words without a key": {entries: []tiny.Entry{
			tiny.File("a.go", `const begin = "-----BEGIN RSA PRIVATE KEY-----\n"`+"\n"),
			tiny.File("b", "-----BEGIN RSA PRIVATE KEY-----"),
			tiny.File("c", "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG...\n-----END PRIVATE KEY-----\n"),
			tiny.File("d", "-----BEGIN EC PRIVATE KEY-----reflectValueSetMapIndexconvertOpStringRunesruntimeGCworkBufferFlushedBefore"),
			tiny.File("e", "-----BEGIN PRIVATE KEY-----MEMBERSandMAPSandOTHERwordsTHATfollowONEanotherINaPROGRAMwithoutAspace"),
			tiny.File("f", "-----BEGIN PGP PRIVATE KEY BLOCK-----\n\n"+strings.Repeat("text", 30)),
		}},
		"self-test's keys": {entries: []tiny.Entry{
			tiny.File("usr/lib/x86_64-linux-gnu/libgnutls.so.30.34.3", string(pem.EncodeToMemory(privateKeys(t)["RSA"]))),
		}},
		"empty key": {entries: []tiny.Entry{tiny.File("etc/a.key", "")}},
		"accounts": {entries: []tiny.Entry{
			tiny.File("etc/passwd", "root:x:0:0:root:/root:/bin/bash\nmail:*:8:8::/:/bin/false\n"),
			tiny.File("etc/shadow", "root:*:19000:0:99999:7:::\nmail:!:19000::::::\nnews:!*:1::::::\nuucp:!!:1::::::\n"),
			tiny.File("etc/gshadow", "root:*::\nstaff:!::\nusers:::\n"),
			tiny.File("etc/group", "root:x:0:\nmail:x:8:\n"),
			tiny.File("var/mail/a", "").Owner(8, 8),
		}},
		"accounts come in an upper layer": {
			entries: []tiny.Entry{tiny.File("srv/a", "").Owner(10001, 10001)},
			upper:   []tiny.Entry{tiny.File("etc/passwd", "svc:x:10001:10001::/:/bin/false\n"), tiny.File("etc/group", "svc:x:10001:\n")},
		},
		"settings read from files": {entries: []tiny.Entry{
			tiny.File("etc/wordpress/config.php", "<?php define('DB_PASSWORD', file_get_contents('/etc/wordpress-database/password'));"),
			tiny.File("usr/share/wordpress/wp-config-sample.php", "<?php\ndefine( 'DB_PASSWORD', 'password_here' );\ndefine( 'AUTH_KEY', 'put your unique phrase here' );"),
			tiny.File("etc/phpmyadmin/config.inc.php", "<?php\n$cfg['blowfish_secret'] = '';\n// $cfg['Servers'][$i]['controlpass'] = 'pmapass';\nif ($cfg['blowfish_secret'] == '') {}\n"),
			tiny.File("etc/dbconfig-common/a.conf", "dbc_dbpass=''\n"),
			tiny.File("etc/telegraf.conf", "password = \"@{mysql:password}\"\ntoken = \"$TOKEN\"\n# password = \"x\"\nsecret = \"\"\n"),
			tiny.File("etc/grafana.ini", ";password = x\nadmin_password = $__file{/etc/grafana-admin/password}\npassword =\nuser = a\n"),
			tiny.File("etc/app.conf", "old_password=OFF\npassword = /run/secrets/password\n"),
			tiny.File("etc/nsswitch.conf", "passwd: files\n"),
			tiny.File("usr/share/grafana/conf/defaults.ini", "admin_password = admin\n"),
		}},
		"empty folders and files": {entries: []tiny.Entry{
			tiny.Folder("var/cache/apt", 0o755), tiny.File("var/lib/apt/lists/lock", ""), tiny.Folder("var/log", 0o755),
			tiny.File("var/log/btmp", ""), tiny.File("etc/machine-id", ""), tiny.File("var/lib/dbus/machine-id", "uninitialized\n"),
			tiny.File(".netrc", ""), tiny.File("var/cache/debconf/passwords.dat", ""),
		}},
		"modes": {entries: []tiny.Entry{
			tiny.Folder("tmp", 0o1777), tiny.Folder("tmp/x", 0o777), tiny.Link("bin", "usr/bin"), tiny.Folder("var/local", 0o2775),
		}},
		"whiteout of nothing": {
			entries: []tiny.Entry{tiny.Folder("srv/data", 0o755), tiny.File("srv/data/empty", ""), tiny.File("srv/database", "x")},
			upper:   []tiny.Entry{tiny.File("srv/.wh.data", "")},
		},
		"configuration": {config: func(config *v1.ConfigFile) {
			config.Config.User = "10001"
			config.Config.ExposedPorts = set("443/tcp")
			config.Config.Env = []string{"PATH=/usr/bin", "EMPTY_PASSWORD=", "PASSWORD_FILE=/etc/mysql-accounts/root/password"}
			config.History = []v1.History{{CreatedBy: "ENV TOKEN=$TOKEN"}, {CreatedBy: "/bin/sh -c #(nop) ADD file:abc in /"}, {CreatedBy: "ENV SECRET="}}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			image := tiny.Image(t, test.entries, test.upper)
			if test.config != nil {
				image = configure(t, image, test.config)
			}
			findings, err := Check(image, Options{Exposed: []string{"443/tcp"}})
			require.NoError(t, err)
			assert.Empty(t, findings)
		})
	}
}

func TestCutOffLayer(t *testing.T) {
	cut, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) {
		var stream bytes.Buffer
		writer := tar.NewWriter(&stream)
		if err := writer.WriteHeader(&tar.Header{Name: "a", Size: 4096, Mode: 0o644}); err != nil {
			return nil, err
		}
		_, err := writer.Write(bytes.Repeat([]byte("x"), 1000))
		return io.NopCloser(&stream), err
	})
	require.NoError(t, err)
	image, err := mutate.AppendLayers(tiny.Image(t), cut)
	require.NoError(t, err)
	_, err = Check(image, Options{})
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	assert.ErrorContains(t, err, "reading layer sha256:")
}

func ruleNames() []string {
	names := []string{"hidden-data", "unknown-owner"}
	for _, rule := range fileRules() {
		names = append(names, rule.name)
	}
	for _, rule := range configRules() {
		names = append(names, rule.name)
	}
	return names
}

func configure(t *testing.T, image v1.Image, change func(*v1.ConfigFile)) v1.Image {
	t.Helper()
	config, err := image.ConfigFile()
	require.NoError(t, err)
	config = config.DeepCopy()
	change(config)
	image, err = mutate.ConfigFile(image, config)
	require.NoError(t, err)
	return image
}

func history(step string) func(*v1.ConfigFile) {
	return func(config *v1.ConfigFile) {
		config.History = []v1.History{{CreatedBy: "COPY bin/ /usr/bin/"}, {CreatedBy: step}}
	}
}

func set(values ...string) map[string]struct{} {
	made := map[string]struct{}{}
	for _, value := range values {
		made[value] = struct{}{}
	}
	return made
}

// privateKeys makes a PEM block of each kind; none of them stands in a file of the repository.
func privateKeys(t *testing.T) map[string]*pem.Block {
	t.Helper()
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	ecKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	ec, err := x509.MarshalECPrivateKey(ecKey)
	require.NoError(t, err)
	ed, err := x509.MarshalPKCS8PrivateKey(edKey)
	require.NoError(t, err)
	random := bytes.Repeat([]byte{0x5a}, 600)
	return map[string]*pem.Block{
		"RSA":     {Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(rsaKey)},
		"EC":      {Type: "EC PRIVATE KEY", Bytes: ec},
		"Ed25519": {Type: "PRIVATE KEY", Bytes: ed},
		"legacy encrypted": {Type: "RSA PRIVATE KEY", Bytes: random, Headers: map[string]string{
			"Proc-Type": "4,ENCRYPTED", "DEK-Info": "AES-256-CBC,00112233445566778899AABBCCDDEEFF",
		}},
		// An EncryptedPrivateKeyInfo begins with the algorithm.
		"PKCS 8 encrypted": {Type: "ENCRYPTED PRIVATE KEY", Bytes: append([]byte{0x30, 0x82, 0x02, 0x58, 0x30, 0x5f}, random...)},
		"OpenSSH":          {Type: "OPENSSH PRIVATE KEY", Bytes: append([]byte("openssh-key-v1\x00"), random...)},
		"OpenPGP":          {Type: "PGP PRIVATE KEY BLOCK", Headers: map[string]string{"Version": "1"}, Bytes: append([]byte{0x95, 0x01, 0xd8}, random...)},
		"OpenPGP, new":     {Type: "PGP PRIVATE KEY BLOCK", Bytes: append([]byte{0xc5, 0x58}, random...)},
	}
}

func certificate(t *testing.T) string {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, private)
	require.NoError(t, err)
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

func publicKey(t *testing.T) string {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	return string(pem.EncodeToMemory(&pem.Block{Type: "RSA PUBLIC KEY", Bytes: x509.MarshalPKCS1PublicKey(&key.PublicKey)}))
}

func quote(t *testing.T, text string) string {
	t.Helper()
	quoted, err := json.Marshal(text)
	require.NoError(t, err)
	return string(quoted)
}

// testBinary is this test's own program: it holds the BEGIN lines of all the tests above.
func testBinary(t *testing.T) []byte {
	t.Helper()
	path, err := os.Executable()
	require.NoError(t, err)
	binary, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Contains(t, string(binary), "-----BEGIN RSA PRIVATE KEY-----")
	return binary
}
