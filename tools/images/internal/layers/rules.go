package layers

import (
	"archive/tar"
	"bytes"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// fileRule judges one entry of a layer at a time: find says what is wrong with it, or nothing.
type fileRule struct {
	name string
	find func(*entry) string
	mend string
}

// fileRules is the table of what no layer may hold. What needs more than one entry to be seen
// (hidden-data, unknown-owner) is in scan.
func fileRules() []fileRule {
	return []fileRule{
		{"setuid", setuid, "Clear the bits in images/base/finish.sh, or do without the package: nothing here may gain rights."},
		{"file-capability", fileCapability, "Remove it with `setcap -r` in images/base/finish.sh: a container has no capability to give."},
		{"device", device, "Leave device nodes out of the root filesystem: the container runtime makes those of /dev."},
		{"world-writable", worldWritable, "Clear the mode in images/base/finish.sh; what a service writes goes to a mounted volume."},
		{"tmp-mode", tmpMode, "Make /tmp with mode 1777 in images/base/finish.sh."},
		{"private-key", privateKey, "Mount keys from a Secret; exclude the path if a package brings one as a sample."},
		{"password-hash", passwordHash, "Lock the account with `*`; services get their accounts from Secrets."},
		{"password-file", passwordFile, "Remove the file and mount it from a Secret."},
		{"password-setting", passwordSetting, "Let the configuration read the value from a mounted Secret."},
		{"package-cache", packageCache, "Clear it in images/base/finish.sh; nothing is installed in a container."},
		{"log", logFile, "Truncate or remove it in images/base/finish.sh: it tells of the build only."},
		{"machine-identity", machineIdentity, "Empty the file in images/base/finish.sh, or all containers share it."},
	}
}

// exceptions are findings that are known to be harmless, for good and in every image. The path is a
// pattern of path.Match.
func exceptions() []exception {
	return []exception{
		{"private-key", "usr/lib/*/libgnutls.so.30.*", "the keys of the library's self-tests, published in its source"},
		{"password-setting", "etc/ssl/openssl.cnf", "what to ask for when somebody makes a request for a certificate"},
	}
}

type exception struct{ rule, path, reason string }

func excepted(rule, name string) bool {
	return slices.ContainsFunc(exceptions(), func(e exception) bool { return e.rule == rule && matches(name, e.path) })
}

func setuid(e *entry) string {
	switch {
	case !e.isFile():
		return ""
	case e.Mode&0o4000 != 0:
		return "runs with its owner's rights (setuid)"
	case e.Mode&0o2000 != 0:
		return "runs with its group's rights (setgid)"
	}
	return ""
}

func fileCapability(e *entry) string {
	// GNU tar, and all that follow it, write the first; bsdtar the second.
	for _, record := range []string{"SCHILY.xattr.security.capability", "LIBARCHIVE.xattr.security.capability"} {
		if e.PAXRecords[record] != "" {
			return "has file capabilities"
		}
	}
	return ""
}

func device(e *entry) string {
	if e.Typeflag == tar.TypeChar || e.Typeflag == tar.TypeBlock {
		return "is a device node"
	}
	return ""
}

func worldWritable(e *entry) string {
	// A symbolic link's mode means nothing, and a device node is a finding by itself.
	writable := (e.isFile() || e.Typeflag == tar.TypeDir || e.Typeflag == tar.TypeFifo) && e.Mode&0o002 != 0
	if !writable || e.path == "tmp" || strings.HasPrefix(e.path, "tmp/") {
		return ""
	}
	return fmt.Sprintf("is writable for all (mode %04o)", e.Mode&0o7777)
}

func tmpMode(e *entry) string {
	if e.path != "tmp" || (e.Typeflag == tar.TypeDir && e.Mode&0o7777 == 0o1777) {
		return ""
	}
	return fmt.Sprintf("is no directory of mode 1777 (mode %04o)", e.Mode&0o7777)
}

func privateKey(e *entry) string {
	switch {
	case !e.holds():
		return ""
	case hasPrivateKey(e.content):
		return "holds a private key"
	// Public keys and certificates have the same forms inside, so binary keys are told by their names.
	case matches(path.Base(e.path), "*.p12", "*.pfx", "*.key", "*.ppk", "*.jks", "id_rsa*", "id_dsa*", "id_ecdsa*", "id_ed25519*") &&
		!strings.HasSuffix(e.path, ".pub"):
		return "bears the name of a private key"
	}
	return ""
}

// hash is what crypt(3) makes of a password. Source: crypt(5).
var hash = regexp.MustCompile(`\$(?:1|2[abxy]?|5|6|7|y|gy|apr1|argon2id?)\$[./A-Za-z0-9$=,+-]{20,}`)

func passwordHash(e *entry) string {
	if !e.holds() || under(e.path, "usr") {
		return ""
	}
	if !slices.Contains([]string{"etc/passwd", "etc/shadow", "etc/group", "etc/gshadow"}, strings.TrimSuffix(e.path, "-")) {
		if at := hash.FindIndex(e.content); at != nil {
			return fmt.Sprintf("holds a password's hash (line %d)", line(e.content, at[0]))
		}
		return ""
	}
	isUsers := strings.HasPrefix(e.path, "etc/passwd") || strings.HasPrefix(e.path, "etc/shadow")
	for line := range strings.Lines(string(e.content)) {
		fields := strings.Split(strings.TrimSpace(line), ":")
		if len(fields) < 2 {
			continue
		}
		// A leading ! only locks the account: the hash behind it can still be guessed.
		switch hash := strings.TrimLeft(fields[1], "!"); {
		case fields[1] == "" && isUsers:
			return fmt.Sprintf("account %s has an empty password", fields[0])
		case hash != "" && hash != "*" && hash != "x":
			return fmt.Sprintf("account %s has a password's hash", fields[0])
		}
	}
	return ""
}

func passwordFile(e *entry) string {
	switch {
	case !e.holds():
		return ""
	case e.path == "var/cache/debconf/passwords.dat",
		matches(e.path, "etc/apt/auth.conf", "etc/apt/auth.conf.d/*", "etc/mysql/debian.cnf"),
		matches(path.Base(e.path), ".my.cnf", ".netrc", ".pgpass", ".htpasswd", ".git-credentials"):
		return "is a file of passwords, and not empty"
	}
	return ""
}

// settings match a setting with a literal, non-empty value, which is the last group.
var settings = []*regexp.Regexp{
	regexp.MustCompile(`define\(\s*['"](?:DB_PASSWORD|(?:AUTH|SECURE_AUTH|LOGGED_IN|NONCE)_(?:KEY|SALT))['"]\s*,\s*(?:'([^'\n]+)'|"([^"\n]+)")`),
	regexp.MustCompile(`\$cfg\b[^=;\n]*\[\s*['"](?:blowfish_secret|password|controlpass)['"]\s*\]\s*=\s*(?:'([^'\n]+)'|"([^"\n]+)")`),
	regexp.MustCompile(`(?:\$dbpass|\bdbc_dbpass)\s*=\s*(?:'([^'\n]+)'|"([^"\n]+)")`), // dbconfig-common
}

// plainSettings match the same in the configuration of servers and their clients: my.cnf, grafana.ini,
// telegraf.conf, .env and the like. A path or a reference to a variable is no password.
var plainSettings = []*regexp.Regexp{
	regexp.MustCompile(`(?mi)^[ \t]*(?:export[ \t]+)?"?[\w.-]*(?:password|secret|token)"?[ \t]*[=:][ \t]*(?:'([^'\n/$@%][^'\n]*)'|"([^"\n/$@%][^"\n]*)"|([^\s"'/$@%][^\s]*))`),
}

// notPasswords are values of options that are named like passwords.
var notPasswords = []string{"yes", "no", "true", "false", "on", "off", "0", "1"}

// placeholders stand in the samples of WordPress.
var placeholders = []string{"password_here", "put your unique phrase here"}

func passwordSetting(e *entry) string {
	var patterns []*regexp.Regexp
	switch {
	case !e.holds(), passwordFile(e) != "":
	case strings.HasSuffix(e.path, ".php"), under(e.path, "etc/dbconfig-common"):
		patterns = settings
	// Below usr lie the samples of packages; what servers read is elsewhere.
	case !under(e.path, "usr") && matches(path.Base(e.path), "*.cf", "*.cfg", "*.cnf", "*.conf", "*.env", "*.ini", "*.json", "*.toml", "*.yaml", "*.yml"):
		patterns = plainSettings
	}
	for _, pattern := range patterns {
		for _, at := range pattern.FindAllSubmatchIndex(e.content, -1) {
			if inComment(e.content, at[0]) {
				continue
			}
			var value string
			for number := 1; number <= pattern.NumSubexp(); number++ {
				if from := at[2*number]; from >= 0 {
					value += string(e.content[from:at[2*number+1]])
				}
			}
			if !slices.Contains(placeholders, value) && !slices.Contains(notPasswords, strings.ToLower(value)) {
				return fmt.Sprintf("sets a password or key (line %d)", line(e.content, at[0]))
			}
		}
	}
	return ""
}

func line(text []byte, offset int) int { return 1 + bytes.Count(text[:offset], []byte("\n")) }

// inComment tells whether the line up to the offset begins as a comment.
func inComment(text []byte, offset int) bool {
	before := bytes.TrimSpace(text[bytes.LastIndexByte(text[:offset], '\n')+1 : offset])
	for _, mark := range []string{"//", "#", ";", "*", "/*"} {
		if bytes.HasPrefix(before, []byte(mark)) {
			return true
		}
	}
	return false
}

func packageCache(e *entry) string {
	switch {
	case !e.holds():
		return ""
	case under(e.path, "var/cache/apt", "var/lib/apt/lists", "var/cache/debconf", "root/.cache", "root/.npm", "root/.composer", "root/go"),
		strings.HasSuffix(e.path, ".deb"):
		return "was needed to install only"
	}
	return ""
}

func logFile(e *entry) string {
	if e.holds() && (under(e.path, "var/log") || matches(path.Base(e.path), ".*_history")) {
		return "is a log that is not empty"
	}
	return ""
}

func machineIdentity(e *entry) string {
	if !e.holds() || !slices.Contains([]string{"etc/machine-id", "var/lib/dbus/machine-id", "var/lib/systemd/random-seed"}, e.path) {
		return ""
	}
	if text := strings.TrimSpace(string(e.content)); text == "" || text == "uninitialized" {
		return ""
	}
	return "is what each machine must have of its own"
}

// accounts returns the numbers in the third field of etc/passwd or etc/group.
func accounts(text []byte) map[int]bool {
	numbers := map[int]bool{}
	for line := range strings.Lines(string(text)) {
		fields := strings.Split(strings.TrimSpace(line), ":")
		if len(fields) < 3 {
			continue
		}
		if number, err := strconv.Atoi(fields[2]); err == nil {
			numbers[number] = true
		}
	}
	return numbers
}

func under(name string, folders ...string) bool {
	return slices.ContainsFunc(folders, func(folder string) bool { return strings.HasPrefix(name, folder+"/") })
}

func matches(name string, patterns ...string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		matched, err := path.Match(pattern, name)
		return err == nil && matched
	})
}

// configRule judges the image's configuration.
type configRule struct {
	name string
	find func(*v1.ConfigFile, Options) []fieldProblem
	mend string
}

type fieldProblem struct{ field, problem string }

// configRules is the table of what no configuration may say.
func configRules() []configRule {
	return []configRule{
		{"user", configUser, "Write `USER 10001:10001` in the Dockerfile: Kubernetes can only prove a number to be non-root."},
		{"environment-secret", environmentSecret, "Read the value from a file of a mounted Secret."},
		{"history-secret", historySecret, "Pass secrets to no build: its history is part of the image."},
		{"exposed", exposed, "Remove EXPOSE or VOLUME from the Dockerfile: the Deployment says what is open and mounted."},
	}
}

var numericUser = regexp.MustCompile(`^[0-9]+(:[0-9]+)?$`)

func configUser(config *v1.ConfigFile, _ Options) []fieldProblem {
	user := config.Config.User
	if !numericUser.MatchString(user) {
		return []fieldProblem{{"User", fmt.Sprintf("%q is no number", user)}}
	}
	for number := range strings.SplitSeq(user, ":") {
		if strings.Trim(number, "0") == "" {
			return []fieldProblem{{"User", fmt.Sprintf("%q is root, or root's group", user)}}
		}
	}
	return nil
}

var (
	secretName = regexp.MustCompile(`(?i)PASSWORD|PASSWD|SECRET|TOKEN|KEY|CREDENTIAL`)
	assignment = regexp.MustCompile(`([A-Za-z_][A-Za-z0-9_-]*)=("[^"]+"|'[^']+'|[^\s"']+)`)
)

// isSecret tells whether a variable holds a secret by its name; the name of a secret's file is none,
// nor is a reference to another variable.
func isSecret(name, value string) bool {
	value = strings.Trim(value, `"'`)
	isFile := strings.HasPrefix(value, "/") && (strings.HasSuffix(name, "_FILE") || strings.HasSuffix(name, "_PATH"))
	return secretName.MatchString(name) && value != "" && !isFile && !strings.HasPrefix(value, "$")
}

func environmentSecret(config *v1.ConfigFile, _ Options) []fieldProblem {
	var problems []fieldProblem
	for _, variable := range config.Config.Env {
		if name, value, _ := strings.Cut(variable, "="); isSecret(name, value) {
			problems = append(problems, fieldProblem{"Env " + name, "is a secret by its name, and has a value"})
		}
	}
	return problems
}

func historySecret(config *v1.ConfigFile, _ Options) []fieldProblem {
	var problems []fieldProblem
	for i, step := range config.History {
		for _, found := range assignment.FindAllStringSubmatch(step.CreatedBy+" "+step.Comment, -1) {
			if isSecret(found[1], found[2]) {
				problems = append(problems, fieldProblem{fmt.Sprintf("History[%d] %s", i, found[1]), "is a secret by its name, and has a value"})
			}
		}
	}
	return problems
}

func exposed(config *v1.ConfigFile, options Options) []fieldProblem {
	var problems []fieldProblem
	for _, field := range []struct {
		name   string
		values map[string]struct{}
	}{
		{"ExposedPorts", config.Config.ExposedPorts}, {"Volumes", config.Config.Volumes},
	} {
		for value := range field.values {
			if !slices.Contains(options.Exposed, value) {
				problems = append(problems, fieldProblem{field.name + " " + value, "is not among what the image may expose"})
			}
		}
	}
	slices.SortFunc(problems, func(a, b fieldProblem) int { return strings.Compare(a.field, b.field) })
	return problems
}
