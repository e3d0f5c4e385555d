package generate

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/netip"
	"slices"
	"time"
)

// Pair is a certificate and its private key, both as PEM.
type Pair struct{ Certificate, Key []byte }

// Server says whom a server certificate is for.
type Server struct {
	Names   []string // DNS names; the first is the common name too
	Address netip.Addr
}

const (
	keyBits = 2048
	// clockSkew is how far a client's clock may be behind.
	clockSkew = time.Hour
)

// Authority makes a certificate authority that is valid until the given time.
func Authority(commonName string, now, until time.Time) (Pair, error) {
	return sign(&x509.Certificate{
		Subject:               pkix.Name{CommonName: commonName},
		NotBefore:             now.Add(-clockSkew),
		NotAfter:              until,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLenZero:        true,
	}, nil)
}

// Certificate makes a server certificate that is signed by the authority and does not outlive it.
func Certificate(authority Pair, server Server, now, until time.Time) (Pair, error) {
	issuer, err := tls.X509KeyPair(authority.Certificate, authority.Key)
	if err != nil {
		return Pair{}, fmt.Errorf("reading the authority: %w", err)
	}
	if end := issuer.Leaf.NotAfter; end.Before(until) {
		until = end
	}
	return sign(&x509.Certificate{
		Subject:               pkix.Name{CommonName: server.Names[0]},
		DNSNames:              server.Names,
		IPAddresses:           []net.IP{server.Address.AsSlice()},
		NotBefore:             now.Add(-clockSkew),
		NotAfter:              until,
		KeyUsage:              x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
	}, &issuer)
}

// sign makes a key and signs the template, by the issuer or, without one, by the key itself.
func sign(template *x509.Certificate, issuer *tls.Certificate) (Pair, error) {
	key, err := rsa.GenerateKey(rand.Reader, keyBits)
	if err != nil {
		return Pair{}, fmt.Errorf("making a key: %w", err)
	}
	template.SerialNumber, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return Pair{}, fmt.Errorf("making a serial number: %w", err)
	}
	parent, signer := template, any(key)
	if issuer != nil {
		parent, signer = issuer.Leaf, issuer.PrivateKey
	}
	certificate, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		return Pair{}, fmt.Errorf("signing a certificate: %w", err)
	}
	encoded, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return Pair{}, fmt.Errorf("encoding a key: %w", err)
	}
	return Pair{
		Certificate: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate}),
		Key:         pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: encoded}),
	}, nil
}

// CheckPair says why a certificate cannot be used at a time, or will not be soon after.
func CheckPair(pair Pair, now time.Time, soon time.Duration) error {
	_, err := leaf(pair, now, soon)
	return err
}

// CheckAuthority says why an authority must be made anew.
func CheckAuthority(pair Pair, now time.Time, soon time.Duration) error {
	certificate, err := leaf(pair, now, soon)
	if err != nil {
		return err
	}
	if !certificate.BasicConstraintsValid || !certificate.IsCA {
		return errors.New("it is no certificate authority")
	}
	// Without the extension a key is for every use.
	if certificate.KeyUsage != 0 && certificate.KeyUsage&x509.KeyUsageCertSign == 0 {
		return errors.New("its key must not sign certificates")
	}
	return nil
}

// CheckCertificate says why a server certificate must be made anew. One that ends with its authority
// need not until then: another would not last longer.
func CheckCertificate(pair Pair, authority []byte, server Server, now time.Time, soon time.Duration) error {
	certificate, err := leaf(pair, now, 0)
	if err != nil {
		return err
	}
	block, _ := pem.Decode(authority)
	if block == nil {
		return errors.New("its authority is unreadable")
	}
	issuer, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return fmt.Errorf("its authority is unreadable: %w", err)
	}
	if !bytes.Equal(certificate.RawIssuer, issuer.RawSubject) || certificate.CheckSignatureFrom(issuer) != nil {
		return errors.New("another authority signed it")
	}
	if certificate.NotAfter.Before(issuer.NotAfter) && endsWithin(certificate, now, soon) {
		return endsAt(certificate)
	}
	if !slices.Equal(certificate.DNSNames, server.Names) {
		return errors.New("the names have changed")
	}
	if len(certificate.IPAddresses) != 1 || !certificate.IPAddresses[0].Equal(server.Address.AsSlice()) {
		return errors.New("the address has changed")
	}
	return nil
}

func leaf(pair Pair, now time.Time, soon time.Duration) (*x509.Certificate, error) {
	parsed, err := tls.X509KeyPair(pair.Certificate, pair.Key)
	if err != nil {
		return nil, fmt.Errorf("it is unreadable: %w", err)
	}
	switch {
	case now.Before(parsed.Leaf.NotBefore):
		return nil, fmt.Errorf("it is valid only from %s", parsed.Leaf.NotBefore.Format(time.RFC3339))
	case endsWithin(parsed.Leaf, now, soon):
		return nil, endsAt(parsed.Leaf)
	}
	return parsed.Leaf, nil
}

func endsWithin(certificate *x509.Certificate, now time.Time, soon time.Duration) bool {
	return !now.Before(certificate.NotAfter.Add(-soon))
}

func endsAt(certificate *x509.Certificate) error {
	return fmt.Errorf("it ends at %s", certificate.NotAfter.Format(time.RFC3339))
}
