// Package config reads the declaration of Secrets. It says what there must be and how each value is
// made, but holds no value worth hiding.
package config

import (
	"errors"
	"fmt"
	"os"
	"path"
	"slices"

	"k8s.io/apimachinery/pkg/util/validation"
	"sigs.k8s.io/yaml"
)

// Secret declares one Secret: exactly one of Authority, Certificate and Values is set.
type Secret struct {
	Name        string           `json:"name"`
	Authority   *Authority       `json:"authority,omitempty"`
	Certificate *Certificate     `json:"certificate,omitempty"`
	Values      map[string]Value `json:"values,omitempty"`
}

// Authority is a certificate authority of one's own.
type Authority struct {
	CommonName string `json:"commonName"`
	Validity
}

// Certificate is a server certificate for Services of the namespace and for the public address.
type Certificate struct {
	Authority string   `json:"authority"` // name of a Secret declared before
	Services  []string `json:"services"`
	Validity
}

// Validity is how long a certificate lasts, and how long before its end it is made anew.
type Validity struct {
	Days            int `json:"days"`
	RenewBeforeDays int `json:"renewBeforeDays"`
}

// Value says how one key of a Secret is made: exactly one of its fields is set.
type Value struct {
	Text   string  `json:"text,omitempty"`   // this very text
	Random int     `json:"random,omitempty"` // as many random letters and digits
	Passwd *Passwd `json:"passwd,omitempty"`
}

// Passwd is a file like /etc/passwd with a line for each key of another Secret, whose values are the
// passwords.
type Passwd struct {
	Users string `json:"users"` // name of a Secret declared before
	UID   int    `json:"uid"`
	GID   int    `json:"gid"`
	Homes string `json:"homes"` // directory of the home directories
}

const (
	minRandom = 16
	maxRandom = 1024
	maxDays   = 36500 // a century; three make more nanoseconds than a time.Duration holds
)

// Load reads and checks a declaration.
func Load(file string) ([]Secret, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("reading the declaration: %w", err)
	}
	secrets, err := Parse(text)
	if err != nil {
		return nil, fmt.Errorf("reading the declaration %s: %w", file, err)
	}
	return secrets, nil
}

// Parse is Load for a text. A Secret may refer only to Secrets above it, so making them in order
// works.
func Parse(text []byte) ([]Secret, error) {
	var declaration struct {
		Secrets []Secret `json:"secrets"`
	}
	if err := yaml.UnmarshalStrict(text, &declaration); err != nil {
		return nil, err
	}
	if len(declaration.Secrets) == 0 {
		return nil, errors.New("no secrets are declared")
	}
	above := map[string]Secret{}
	for _, secret := range declaration.Secrets {
		if err := secret.check(above); err != nil {
			return nil, fmt.Errorf("secret %q: %w", secret.Name, err)
		}
		above[secret.Name] = secret
	}
	return declaration.Secrets, nil
}

func (s Secret) check(above map[string]Secret) error {
	if problems := validation.IsDNS1123Subdomain(s.Name); len(problems) > 0 {
		return fmt.Errorf("name: %s", problems[0])
	}
	if _, twice := above[s.Name]; twice {
		return errors.New("declared twice")
	}
	if count(s.Authority != nil, s.Certificate != nil, len(s.Values) > 0) != 1 {
		return errors.New("needs exactly one of authority, certificate and values")
	}
	switch {
	case s.Authority != nil:
		if s.Authority.CommonName == "" {
			return errors.New("authority: commonName is missing")
		}
		if err := s.Authority.Validity.check(); err != nil {
			return fmt.Errorf("authority: %w", err)
		}
	case s.Certificate != nil:
		if err := s.Certificate.check(above); err != nil {
			return fmt.Errorf("certificate: %w", err)
		}
	}
	for key, value := range s.Values {
		if problems := validation.IsConfigMapKey(key); len(problems) > 0 {
			return fmt.Errorf("key %q: %s", key, problems[0])
		}
		if err := value.check(above); err != nil {
			return fmt.Errorf("key %q: %w", key, err)
		}
	}
	return nil
}

func (c Certificate) check(above map[string]Secret) error {
	if above[c.Authority].Authority == nil {
		return fmt.Errorf("no authority %q is declared above", c.Authority)
	}
	if len(c.Services) == 0 {
		return errors.New("services are missing")
	}
	for i, service := range c.Services {
		if problems := validation.IsDNS1123Label(service); len(problems) > 0 {
			return fmt.Errorf("service %q: %s", service, problems[0])
		}
		if slices.Contains(c.Services[:i], service) {
			return fmt.Errorf("service %q is named twice", service)
		}
	}
	if err := c.Validity.check(); err != nil {
		return err
	}
	// Otherwise clients would see the authority expire before its certificate.
	if authority := above[c.Authority].Authority; authority.RenewBeforeDays < c.Days {
		return fmt.Errorf("outlives the authority: its renewBeforeDays must be at least %d", c.Days)
	}
	return nil
}

func (v Validity) check() error {
	if v.RenewBeforeDays < 1 || v.Days <= v.RenewBeforeDays {
		return errors.New("renewBeforeDays must be at least 1 and less than days")
	}
	if v.Days > maxDays {
		return fmt.Errorf("days must be at most %d", maxDays)
	}
	return nil
}

func (v Value) check(above map[string]Secret) error {
	if count(v.Text != "", v.Random != 0, v.Passwd != nil) != 1 {
		return errors.New("needs exactly one of text, random and passwd")
	}
	if v.Random != 0 && (v.Random < minRandom || v.Random > maxRandom) {
		return fmt.Errorf("random must be from %d to %d", minRandom, maxRandom)
	}
	if v.Passwd == nil {
		return nil
	}
	if len(above[v.Passwd.Users].Values) == 0 {
		return fmt.Errorf("passwd: no values %q are declared above", v.Passwd.Users)
	}
	if v.Passwd.UID < 1 || v.Passwd.GID < 1 {
		return errors.New("passwd: uid and gid must be at least 1")
	}
	if !path.IsAbs(v.Passwd.Homes) || path.Clean(v.Passwd.Homes) != v.Passwd.Homes {
		return errors.New("passwd: homes must be an absolute path in its shortest form")
	}
	return nil
}

func count(conditions ...bool) int {
	n := 0
	for _, condition := range conditions {
		if condition {
			n++
		}
	}
	return n
}
