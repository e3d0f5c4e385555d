// Package generate makes values: random texts, certificates and password files. It knows nothing of
// Kubernetes.
package generate

import (
	"crypto/rand"
	"fmt"
	"maps"
	"math/big"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/go-crypt/crypt/algorithm/shacrypt"
)

// Alphabet is what random texts are made of: nothing that a shell, a URL or a configuration file
// would read as its own.
const Alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

// Random returns length letters and digits.
func Random(length int) ([]byte, error) {
	text := make([]byte, length)
	size := big.NewInt(int64(len(Alphabet)))
	for i := range text {
		n, err := rand.Int(rand.Reader, size)
		if err != nil {
			return nil, fmt.Errorf("reading random numbers: %w", err)
		}
		text[i] = Alphabet[n.Int64()]
	}
	return text, nil
}

// Accounts are the users of a password file.
type Accounts struct {
	Passwords map[string][]byte // by user
	UID, GID  int
	Homes     string // directory of the home directories
}

// The iterations of crypt(3): the passwords are random, and the server hashes at every login.
const iterations = 5000

var userName = regexp.MustCompile(`^[a-z][a-z0-9_-]{0,31}$`)

// Passwd returns the password file of the accounts, with hashes as crypt(3) makes them with SHA-512.
// A line of the old file that is still right is kept, so the same accounts give the same file.
func Passwd(accounts Accounts, old []byte) ([]byte, error) {
	known := map[string]string{}
	for line := range strings.Lines(string(old)) {
		line = strings.TrimRight(line, "\n")
		if fields := strings.Split(line, ":"); len(fields) == 7 {
			known[fields[0]] = fields[1]
		}
	}
	var file strings.Builder
	for _, user := range slices.Sorted(maps.Keys(accounts.Passwords)) {
		if !userName.MatchString(user) {
			return nil, fmt.Errorf("user %q: a name has lower case letters, digits, - and _ only", user)
		}
		password := accounts.Passwords[user]
		if len(password) == 0 {
			return nil, fmt.Errorf("user %q: the password is empty", user)
		}
		hash := known[user]
		if !matches(hash, password) {
			var err error
			if hash, err = sha512Crypt(password); err != nil {
				return nil, fmt.Errorf("user %q: %w", user, err)
			}
		}
		fmt.Fprintf(&file, "%s:%s:%d:%d::%s:/bin/false\n", user, hash, accounts.UID, accounts.GID, path.Join(accounts.Homes, user))
	}
	return []byte(file.String()), nil
}

func sha512Crypt(password []byte) (string, error) {
	hasher, err := shacrypt.New(shacrypt.WithSHA512(), shacrypt.WithIterations(iterations))
	if err != nil {
		return "", fmt.Errorf("configuring the hash: %w", err)
	}
	digest, err := hasher.Hash(string(password))
	if err != nil {
		return "", fmt.Errorf("hashing the password: %w", err)
	}
	return digest.Encode(), nil
}

func matches(hash string, password []byte) bool {
	digest, err := shacrypt.Decode(hash)
	return err == nil && digest.MatchBytes(password)
}
