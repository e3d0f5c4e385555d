//go:build imagetest

package imagetest

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/scheme"

	"github.com/ft-services/ft-services/tools/images/internal/pod"
)

var secretResource = schema.GroupResource{Resource: "secrets"}

// store holds the Secrets of the namespace, in memory, as an API server would.
type store struct {
	mu      sync.Mutex
	version int
	secrets map[string]*corev1.Secret
}

func newStore() *store { return &store{secrets: map[string]*corev1.Secret{}} }

func (s *store) data() map[string]map[string][]byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	data := map[string]map[string][]byte{}
	for name, secret := range s.secrets {
		data[name] = secret.Data
	}
	return data
}

func (s *store) remove(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.secrets, name)
}

func (s *store) get(name string) (*corev1.Secret, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if secret := s.secrets[name]; secret != nil {
		return secret, nil
	}
	return nil, apierrors.NewNotFound(secretResource, name)
}

func (s *store) put(secret *corev1.Secret, create bool) (*corev1.Secret, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.secrets[secret.Name]
	switch {
	case create && old != nil:
		return nil, apierrors.NewAlreadyExists(secretResource, secret.Name)
	case !create && old == nil:
		return nil, apierrors.NewNotFound(secretResource, secret.Name)
	case !create && old.ResourceVersion != secret.ResourceVersion:
		return nil, apierrors.NewConflict(secretResource, secret.Name, nil)
	}
	s.version++
	secret.ResourceVersion = big.NewInt(int64(s.version)).String()
	s.secrets[secret.Name] = secret
	return secret, nil
}

// api stands in for the API server: it knows the Secrets of one namespace, one token, and what the
// rendered Role of `credentials` allows. It has nothing else to say.
type api struct {
	store     *store
	namespace string
	token     string
	rules     []rbacv1.PolicyRule
}

func (a *api) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	object, err := a.answer(r)
	code := http.StatusOK
	if status, ok := err.(apierrors.APIStatus); ok {
		reply := status.Status()
		reply.APIVersion, reply.Kind = "v1", "Status"
		object, code = &reply, int(reply.Code)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(object)
}

func (a *api) answer(r *http.Request) (any, error) {
	if r.Header.Get("Authorization") != "Bearer "+a.token {
		return nil, apierrors.NewUnauthorized("not the token of the pod")
	}
	path, found := strings.CutPrefix(r.URL.Path, "/api/v1/namespaces/"+a.namespace+"/secrets")
	if !found {
		return nil, apierrors.NewNotFound(schema.GroupResource{}, r.URL.Path)
	}
	name := strings.TrimPrefix(path, "/")
	verb := map[string]string{http.MethodGet: "get", http.MethodPost: "create", http.MethodPut: "update"}[r.Method]
	if !a.allows(verb, name) {
		return nil, apierrors.NewForbidden(secretResource, name, nil)
	}
	if verb == "get" {
		return reply(a.store.get(name))
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, apierrors.NewBadRequest(err.Error())
	}
	object, _, err := scheme.Codecs.UniversalDeserializer().Decode(body, nil, nil)
	if err != nil {
		return nil, apierrors.NewBadRequest(err.Error())
	}
	secret, ok := object.(*corev1.Secret)
	if !ok {
		return nil, apierrors.NewBadRequest("not a Secret")
	}
	return reply(a.store.put(secret, verb == "create"))
}

func reply(secret *corev1.Secret, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	secret = secret.DeepCopy()
	secret.APIVersion, secret.Kind = "v1", "Secret"
	return secret, nil
}

// allows is what RBAC does; a name is not known when something is created.
func (a *api) allows(verb, name string) bool {
	return slices.ContainsFunc(a.rules, func(rule rbacv1.PolicyRule) bool {
		return slices.Contains(rule.Resources, "secrets") && slices.Contains(rule.Verbs, verb) &&
			(len(rule.ResourceNames) == 0 || name != "" && slices.Contains(rule.ResourceNames, name))
	})
}

// startAPI opens the stand-in inside the network and returns what a pod needs to use it.
func startAPI(r *running) *pod.ServiceAccount {
	r.Helper()
	workload := r.bench.manifests.Workloads["credentials"]
	role := r.bench.manifests.Roles[types.NamespacedName{Namespace: workload.Namespace, Name: "credentials"}]
	require.NotNil(r, role, "the overlay has no Role credentials")
	listener, err := r.network.Listen(0)
	require.NoError(r, err)
	certificate, authority := selfSigned(r.T)
	server := httptest.NewUnstartedServer(&api{
		store: r.bench.store, namespace: workload.Namespace, token: rand.Text(), rules: role.Rules,
	})
	require.NoError(r, server.Listener.Close())
	server.Listener = listener
	server.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}}
	server.StartTLS()
	r.Cleanup(server.Close)
	return &pod.ServiceAccount{
		Token: server.Config.Handler.(*api).token,
		CA:    authority,
		Port:  listener.Addr().(*net.TCPAddr).Port,
	}
}

func selfSigned(t *testing.T) (tls.Certificate, []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: "kubernetes"},
		NotBefore:             time.Now().Add(-time.Minute),
		NotAfter:              time.Now().Add(time.Hour),
		IPAddresses:           []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA:                  true,
		BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key},
		pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// makeSecrets lets the pod `credentials` make them, once.
func (b *bench) makeSecrets(t *testing.T) {
	t.Helper()
	b.making.Lock()
	defer b.making.Unlock()
	if len(b.store.data()) > 0 {
		return
	}
	r := b.surround(t, service{name: "credentials"})
	r.create()
	r.start()
	_, err := r.pod.Stop(t.Context())
	require.NoError(t, err)
}

func credentials() service {
	return service{
		name:      "credentials",
		processes: []process{{"credentials", "credentials"}},
		verify: func(r *running) {
			data := r.bench.store.data()
			role := r.bench.manifests.Roles[types.NamespacedName{Namespace: "ft-services", Name: "credentials"}]
			for _, rule := range role.Rules {
				for _, name := range rule.ResourceNames {
					assert.NotEmpty(r, data[name], "Secret %s", name)
				}
			}
			password := string(data["mysql-root"]["password"])
			assert.Len(r, password, 32)

			r.bench.store.remove("grafana-key")
			require.Eventually(r, func() bool {
				return len(r.bench.store.data()["grafana-key"]["secret-key"]) == 32
			}, askWithin, 100*time.Millisecond, "a deleted Secret comes back")
			assert.Equal(r, password, string(r.bench.store.data()["mysql-root"]["password"]), "a password stays")
			ctx, cancel := context.WithTimeout(r.Context(), askWithin)
			defer cancel()
			require.NoError(r, r.pod.WaitReady(ctx))
		},
	}
}
