// Package reconcile brings the Secrets of a namespace to what is declared. It only ever adds what is
// missing, with two exceptions: certificates, which end, and what is derived from other values. A
// Secret that somebody else made is used but never written to.
//
// It looks by name at an interval instead of watching: a watch would need the right to list, and RBAC
// cannot limit that to some names without one watch for each.
package reconcile

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/ft-services/ft-services/images/credentials/internal/config"
	"github.com/ft-services/ft-services/images/credentials/internal/generate"
)

// ManagedBy is the label that tells whose a Secret is, and Manager its value on our own.
const (
	ManagedBy = "app.kubernetes.io/managed-by"
	Manager   = "credentials"
)

const (
	caKey       = "ca.crt"
	day         = 24 * time.Hour
	passTimeout = 30 * time.Second
	firstRetry  = time.Second
)

// Client is what is needed of the API; create cannot be limited to names, the other two are.
type Client interface {
	Get(ctx context.Context, name string, o metav1.GetOptions) (*corev1.Secret, error)
	Create(ctx context.Context, secret *corev1.Secret, o metav1.CreateOptions) (*corev1.Secret, error)
	Update(ctx context.Context, secret *corev1.Secret, o metav1.UpdateOptions) (*corev1.Secret, error)
}

// Options say what to bring about, and where.
type Options struct {
	Secrets   []config.Secret
	Namespace string
	Address   netip.Addr
	Interval  time.Duration
	Log       *slog.Logger
	Now       func() time.Time // time.Now if nil
}

// Reconciler works on the Secrets of one namespace.
type Reconciler struct {
	client Client
	Options

	mu     sync.Mutex
	passed time.Time // end of the last pass
	err    error     // its result
}

// New returns a Reconciler that has not looked yet, and hence is not ready.
func New(client Client, o Options) *Reconciler {
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Reconciler{client: client, Options: o, passed: o.Now(), err: errors.New("the first pass has not ended")}
}

// Run makes passes until the context ends: one at each interval, and earlier ones after a failure.
func (r *Reconciler) Run(ctx context.Context) {
	retry := firstRetry
	for {
		wait := r.Interval
		if err := r.Pass(ctx); err == nil {
			retry = firstRetry
		} else if ctx.Err() == nil {
			r.Log.Error("pass failed", "error", err)
			wait = min(retry, r.Interval)
			retry = min(2*retry, r.Interval)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

// Alive returns an error if passes no longer end. Their results do not matter: starting again would
// not bring the API server back.
func (r *Reconciler) Alive() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if age := r.Now().Sub(r.passed); age > 2*(r.Interval+passTimeout) {
		return fmt.Errorf("no pass has ended for %s", age.Round(time.Second))
	}
	return nil
}

// Ready returns an error unless the last pass found or brought about every Secret.
func (r *Reconciler) Ready() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.err
}

// Pass looks once at each Secret and makes what is missing. A failure with one does not keep it from
// the others.
func (r *Reconciler) Pass(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, passTimeout)
	defer cancel()
	var failures []error
	present := map[string]map[string][]byte{}
	for _, declared := range r.Secrets {
		data, err := r.ensure(ctx, declared, present)
		if err != nil {
			failures = append(failures, fmt.Errorf("secret %s: %w", declared.Name, err))
			continue
		}
		present[declared.Name] = data
	}
	err := errors.Join(failures...)
	r.mu.Lock()
	r.passed, r.err = r.Now(), err
	r.mu.Unlock()
	return err
}

// ensure returns the data of a Secret after making or completing it. Someone else may write at the
// same time: then the write fails, and the next pass starts from what they wrote.
func (r *Reconciler) ensure(ctx context.Context, declared config.Secret, present map[string]map[string][]byte) (map[string][]byte, error) {
	secret, err := r.client.Get(ctx, declared.Name, metav1.GetOptions{})
	missing := apierrors.IsNotFound(err)
	if err != nil && !missing {
		return nil, fmt.Errorf("reading: %w", err)
	}
	if missing {
		secret = empty(declared)
	} else if secret.Labels[ManagedBy] != Manager {
		return secret.Data, r.checkForeign(declared, secret.Data)
	}

	data, reasons, err := r.complete(declared, secret.Data, present)
	if err != nil {
		return nil, err
	}
	if len(reasons) == 0 {
		return data, nil
	}
	secret = secret.DeepCopy()
	secret.Data = data
	if missing {
		if _, err := r.client.Create(ctx, secret, metav1.CreateOptions{}); err != nil {
			return nil, fmt.Errorf("creating: %w", err)
		}
		r.Log.Info("secret created", "name", declared.Name)
		return data, nil
	}
	if _, err := r.client.Update(ctx, secret, metav1.UpdateOptions{}); err != nil {
		return nil, fmt.Errorf("updating: %w", err)
	}
	r.Log.Info("secret updated", "name", declared.Name, "reasons", reasons)
	return data, nil
}

func empty(declared config.Secret) *corev1.Secret {
	kind := corev1.SecretTypeOpaque
	if declared.Authority != nil || declared.Certificate != nil {
		kind = corev1.SecretTypeTLS
	}
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{
			Name: declared.Name,
			Labels: map[string]string{
				"app.kubernetes.io/name":      "credentials",
				"app.kubernetes.io/component": "credentials",
				"app.kubernetes.io/part-of":   "ft-services",
				ManagedBy:                     Manager,
			},
		},
		Type: kind,
	}
}

// complete returns what the data must become and why; without a reason it is right as it is.
func (r *Reconciler) complete(declared config.Secret, data map[string][]byte, present map[string]map[string][]byte) (map[string][]byte, []string, error) {
	data = maps.Clone(data)
	if data == nil {
		data = map[string][]byte{}
	}
	var reason string
	var err error
	switch {
	case declared.Authority != nil:
		reason, err = r.completeAuthority(*declared.Authority, data)
	case declared.Certificate != nil:
		reason, err = r.completeCertificate(*declared.Certificate, data, present)
	default:
		return r.completeValues(declared.Values, data, present)
	}
	if err != nil || reason == "" {
		return data, nil, err
	}
	return data, []string{reason}, nil
}

func (r *Reconciler) completeAuthority(authority config.Authority, data map[string][]byte) (string, error) {
	now := r.Now()
	reason := generate.CheckAuthority(pair(data), now, days(authority.RenewBeforeDays))
	if reason == nil {
		return "", nil
	}
	made, err := generate.Authority(authority.CommonName, now, now.Add(days(authority.Days)))
	if err != nil {
		return "", err
	}
	data[corev1.TLSCertKey], data[corev1.TLSPrivateKeyKey] = made.Certificate, made.Key
	return reason.Error(), nil
}

func (r *Reconciler) completeCertificate(certificate config.Certificate, data map[string][]byte, present map[string]map[string][]byte) (string, error) {
	authority, found := present[certificate.Authority]
	if !found {
		return "", fmt.Errorf("waiting for secret %s", certificate.Authority)
	}
	server := generate.Server{Names: r.names(certificate.Services), Address: r.Address}
	now := r.Now()
	check := func(made generate.Pair) error {
		return generate.CheckCertificate(made, authority[corev1.TLSCertKey], server, now, days(certificate.RenewBeforeDays))
	}
	reason := check(pair(data))
	if reason == nil && !bytes.Equal(data[caKey], authority[corev1.TLSCertKey]) {
		reason = errors.New("its copy of the authority is not the authority")
	}
	if reason == nil {
		return "", nil
	}
	made, err := generate.Certificate(pair(authority), server, now, now.Add(days(certificate.Days)))
	if err != nil {
		return "", err
	}
	// What does not pass now would not at the next pass either, and be made anew for ever.
	if err := check(made); err != nil {
		return "", fmt.Errorf("secret %s made an unusable certificate: %w", certificate.Authority, err)
	}
	data[corev1.TLSCertKey], data[corev1.TLSPrivateKeyKey], data[caKey] = made.Certificate, made.Key, authority[corev1.TLSCertKey]
	return reason.Error(), nil
}

// names are those by which pods of this namespace and of others find the Services.
func (r *Reconciler) names(services []string) []string {
	var names []string
	for _, service := range services {
		inNamespace := service + "." + r.Namespace
		names = append(names, service, inNamespace, inNamespace+".svc")
	}
	return names
}

func (r *Reconciler) completeValues(values map[string]config.Value, data map[string][]byte, present map[string]map[string][]byte) (map[string][]byte, []string, error) {
	var reasons []string
	for _, key := range slices.Sorted(maps.Keys(values)) {
		old := data[key]
		value, err := valueOf(values[key], old, present)
		if err != nil {
			return nil, nil, fmt.Errorf("key %s: %w", key, err)
		}
		if bytes.Equal(value, old) {
			continue
		}
		if len(old) == 0 {
			reasons = append(reasons, key+" was missing")
		} else {
			reasons = append(reasons, key+" follows its declaration or its source")
		}
		data[key] = value
	}
	return data, reasons, nil
}

// valueOf returns what a value must be. A random one stays whatever it is.
func valueOf(value config.Value, old []byte, present map[string]map[string][]byte) ([]byte, error) {
	switch {
	case value.Text != "":
		return []byte(value.Text), nil
	case value.Passwd != nil:
		passwords, found := present[value.Passwd.Users]
		if !found {
			return nil, fmt.Errorf("waiting for secret %s", value.Passwd.Users)
		}
		return generate.Passwd(generate.Accounts{
			Passwords: passwords,
			UID:       value.Passwd.UID,
			GID:       value.Passwd.GID,
			Homes:     value.Passwd.Homes,
		}, old)
	case len(old) > 0:
		return old, nil
	default:
		return generate.Random(value.Random)
	}
}

// checkForeign says what a Secret that somebody else made lacks.
func (r *Reconciler) checkForeign(declared config.Secret, data map[string][]byte) error {
	keys := slices.Sorted(maps.Keys(declared.Values))
	if declared.Certificate != nil {
		keys = []string{corev1.TLSCertKey, corev1.TLSPrivateKeyKey, caKey}
	}
	for _, key := range keys {
		if len(data[key]) == 0 {
			return fmt.Errorf("somebody else's, without the key %s", key)
		}
	}
	var err error
	switch {
	case declared.Authority != nil:
		err = generate.CheckAuthority(pair(data), r.Now(), 0)
	case declared.Certificate != nil:
		err = generate.CheckPair(pair(data), r.Now(), 0)
	}
	if err != nil {
		return fmt.Errorf("somebody else's, and %w", err)
	}
	return nil
}

func pair(data map[string][]byte) generate.Pair {
	return generate.Pair{Certificate: data[corev1.TLSCertKey], Key: data[corev1.TLSPrivateKeyKey]}
}

func days(n int) time.Duration { return time.Duration(n) * day }
