// Package pki makes the cluster's keys and certificates: three authorities as kubeadm has them (the cluster's, etcd's
// and the front proxy's), a certificate for each component under its own name, and the key that signs service account
// tokens. Files have mode 0600 and are made anew when they are missing, expire soon or do not fit any more.
package pki

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"time"
)

const (
	authorityLife = 10 * 365 * 24 * time.Hour
	leafLife      = 365 * 24 * time.Hour
	// What ends within this time is made anew.
	renewBefore = 30 * 24 * time.Hour
)

// Store is a folder of keys and certificates: NAME.key and NAME.crt.
type Store struct {
	dir string
	now func() time.Time
}

// New returns the store in a folder, which must exist.
func New(dir string) *Store {
	return &Store{dir: dir, now: time.Now}
}

// Leaf describes a certificate that is no authority.
type Leaf struct {
	// Name is its files' name.
	Name string
	// CommonName and Organization are who bears it: Kubernetes takes them for user and groups.
	CommonName   string
	Organization []string
	// DNSNames and Addresses are what a server is reached by. A certificate that has any may serve.
	DNSNames  []string
	Addresses []netip.Addr
	// Client: it may also identify a client.
	Client bool
}

// Certificate returns the path of a certificate.
func (s *Store) Certificate(name string) string { return filepath.Join(s.dir, name+".crt") }

// Key returns the path of a private key.
func (s *Store) Key(name string) string { return filepath.Join(s.dir, name+".key") }

// PublicKey returns the path of a public key.
func (s *Store) PublicKey(name string) string { return filepath.Join(s.dir, name+".pub") }

// Authority makes an authority and the leaves that it signs.
func (s *Store) Authority(name, commonName string, leaves ...Leaf) error {
	authority, key, err := s.load(name)
	switch {
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return err
	case err != nil || !s.fresh(authority):
		template := s.template(commonName, nil, authorityLife)
		template.IsCA = true
		template.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign | x509.KeyUsageDigitalSignature
		if authority, key, err = s.issue(name, template, nil, nil); err != nil {
			return err
		}
	}
	for _, leaf := range leaves {
		if have, _, err := s.load(leaf.Name); err == nil && s.fresh(have) && have.CheckSignatureFrom(authority) == nil && leaf.fits(have) {
			continue
		} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if _, _, err := s.issue(leaf.Name, s.leafTemplate(leaf), authority, key); err != nil {
			return err
		}
	}
	return nil
}

// SigningKey makes a key pair without a certificate.
func (s *Store) SigningKey(name string) error {
	data, err := os.ReadFile(s.Key(name))
	var key crypto.Signer
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if key, err = s.newKey(name); err != nil {
			return err
		}
	case err != nil:
		return fmt.Errorf("read key %s: %w", name, err)
	default:
		if key, err = parseKey(data); err != nil {
			return fmt.Errorf("read %s: %w; remove the file to have it made anew", s.Key(name), err)
		}
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return fmt.Errorf("encode public key %s: %w", name, err)
	}
	return s.write(s.PublicKey(name), "PUBLIC KEY", public)
}

func (s *Store) template(commonName string, organization []string, life time.Duration) *x509.Certificate {
	now := s.now()
	return &x509.Certificate{
		Subject: pkix.Name{CommonName: commonName, Organization: organization},
		// A little back: the clocks of a machine and of what runs on it may differ.
		NotBefore:             now.Add(-5 * time.Minute),
		NotAfter:              now.Add(life),
		BasicConstraintsValid: true,
	}
}

func (s *Store) leafTemplate(leaf Leaf) *x509.Certificate {
	template := s.template(leaf.CommonName, leaf.Organization, leafLife)
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.DNSNames = leaf.DNSNames
	for _, address := range leaf.Addresses {
		template.IPAddresses = append(template.IPAddresses, net.IP(address.AsSlice()))
	}
	if leaf.serves() {
		template.ExtKeyUsage = append(template.ExtKeyUsage, x509.ExtKeyUsageServerAuth)
	}
	if leaf.Client {
		template.ExtKeyUsage = append(template.ExtKeyUsage, x509.ExtKeyUsageClientAuth)
	}
	return template
}

func (l Leaf) serves() bool { return len(l.DNSNames)+len(l.Addresses) > 0 }

func (l Leaf) fits(have *x509.Certificate) bool {
	var addresses []netip.Addr
	for _, ip := range have.IPAddresses {
		address, _ := netip.AddrFromSlice(ip)
		addresses = append(addresses, address.Unmap())
	}
	return have.Subject.CommonName == l.CommonName &&
		slices.Equal(have.Subject.Organization, l.Organization) &&
		slices.Equal(have.DNSNames, l.DNSNames) &&
		slices.Equal(addresses, l.Addresses) &&
		slices.Contains(have.ExtKeyUsage, x509.ExtKeyUsageServerAuth) == l.serves() &&
		slices.Contains(have.ExtKeyUsage, x509.ExtKeyUsageClientAuth) == l.Client
}

func (s *Store) fresh(certificate *x509.Certificate) bool {
	return s.now().Add(renewBefore).Before(certificate.NotAfter)
}

// issue makes a key and its certificate; without an authority it signs itself.
func (s *Store) issue(name string, template, authority *x509.Certificate, authorityKey crypto.Signer) (*x509.Certificate, crypto.Signer, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, nil, fmt.Errorf("make certificate %s: %w", name, err)
	}
	template.SerialNumber = serial
	// The old certificate first: a run that is killed here leaves a key without one, which counts as missing.
	if err := os.Remove(s.Certificate(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, nil, fmt.Errorf("replace certificate %s: %w", name, err)
	}
	key, err := s.newKey(name)
	if err != nil {
		return nil, nil, err
	}
	if authority == nil {
		authority, authorityKey = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, authority, key.Public(), authorityKey)
	if err != nil {
		return nil, nil, fmt.Errorf("sign certificate %s: %w", name, err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, nil, fmt.Errorf("sign certificate %s: %w", name, err)
	}
	return certificate, key, s.write(s.Certificate(name), "CERTIFICATE", der)
}

func (s *Store) newKey(name string) (crypto.Signer, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make key %s: %w", name, err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("encode key %s: %w", name, err)
	}
	return key, s.write(s.Key(name), "PRIVATE KEY", der)
}

// write replaces a file at once, so that nobody reads half of it.
func (s *Store) write(path, kind string, der []byte) error {
	temporary := path + ".new"
	data := pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
	if err := os.WriteFile(temporary, data, 0o600); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := os.Rename(temporary, path); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

// load reads a certificate with its key. What is missing is an fs.ErrNotExist.
func (s *Store) load(name string) (*x509.Certificate, crypto.Signer, error) {
	data, err := os.ReadFile(s.Certificate(name))
	if err != nil {
		return nil, nil, fmt.Errorf("read certificate: %w", err)
	}
	block, _ := pem.Decode(data)
	if block == nil {
		return nil, nil, fmt.Errorf("read %s: no PEM block; remove the file to have it made anew", s.Certificate(name))
	}
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, nil, fmt.Errorf("read %s: %w; remove the file to have it made anew", s.Certificate(name), err)
	}
	if data, err = os.ReadFile(s.Key(name)); err != nil {
		return nil, nil, fmt.Errorf("read key: %w", err)
	}
	key, err := parseKey(data)
	if err != nil {
		return nil, nil, fmt.Errorf("read %s: %w; remove the file to have it made anew", s.Key(name), err)
	}
	if public, ok := key.Public().(*ecdsa.PublicKey); !ok || !public.Equal(certificate.PublicKey) {
		return nil, nil, fmt.Errorf("%s does not belong to %s; remove both to have them made anew", s.Key(name), s.Certificate(name))
	}
	return certificate, key, nil
}

func parseKey(data []byte) (crypto.Signer, error) {
	block, _ := pem.Decode(data)
	if block == nil {
		return nil, errors.New("no PEM block")
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	signer, ok := parsed.(crypto.Signer)
	if !ok {
		return nil, errors.New("not a signing key")
	}
	return signer, nil
}
