package reconcile_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
	"sigs.k8s.io/yaml"

	"github.com/ft-services/ft-services/images/credentials/internal/config"
	"github.com/ft-services/ft-services/images/credentials/internal/reconcile"
)

const (
	namespace = "web"
	day       = 24 * time.Hour
)

// base is where the declaration that is really used lies.
var base = filepath.Join("..", "..", "..", "..", "base", "credentials")

// world is a cluster with the declared Secrets and a clock.
type world struct {
	t       *testing.T
	cluster *fake.Clientset
	log     *bytes.Buffer
	now     time.Time
	options reconcile.Options
	*reconcile.Reconciler
}

func newWorld(t *testing.T, existing ...runtime.Object) *world {
	t.Helper()
	secrets, err := config.Load(filepath.Join(base, "config", "credentials.yaml"))
	require.NoError(t, err)
	w := &world{t: t, cluster: fake.NewClientset(existing...), log: &bytes.Buffer{}, now: time.Now()}
	w.options = reconcile.Options{
		Secrets:   secrets,
		Namespace: namespace,
		Address:   netip.MustParseAddr("192.0.2.7"),
		Interval:  10 * time.Second,
		Log:       slog.New(slog.NewTextHandler(w.log, nil)),
		Now:       func() time.Time { return w.now },
	}
	w.restart()
	return w
}

func (w *world) restart() {
	w.Reconciler = reconcile.New(w.cluster.CoreV1().Secrets(namespace), w.options)
}

func (w *world) pass() {
	w.t.Helper()
	require.NoError(w.t, w.Pass(w.t.Context()))
	require.NoError(w.t, w.Ready())
}

func (w *world) get(name string) *corev1.Secret {
	w.t.Helper()
	secret, err := w.cluster.CoreV1().Secrets(namespace).Get(w.t.Context(), name, metav1.GetOptions{})
	require.NoError(w.t, err)
	return secret
}

func (w *world) put(secret *corev1.Secret) {
	w.t.Helper()
	_, err := w.cluster.CoreV1().Secrets(namespace).Update(w.t.Context(), secret, metav1.UpdateOptions{})
	require.NoError(w.t, err)
}

func (w *world) remove(name string) {
	w.t.Helper()
	require.NoError(w.t, w.cluster.CoreV1().Secrets(namespace).Delete(w.t.Context(), name, metav1.DeleteOptions{}))
}

// all returns every value, by Secret and key.
func (w *world) all() map[string]string {
	w.t.Helper()
	list, err := w.cluster.CoreV1().Secrets(namespace).List(w.t.Context(), metav1.ListOptions{})
	require.NoError(w.t, err)
	values := map[string]string{}
	for _, secret := range list.Items {
		for key, value := range secret.Data {
			values[secret.Name+"/"+key] = string(value)
		}
	}
	return values
}

// writes counts what was sent to the API except reading.
func (w *world) writes() int {
	n := 0
	for _, action := range w.cluster.Actions() {
		if action.GetVerb() == "create" || action.GetVerb() == "update" {
			n++
		}
	}
	return n
}

func TestMakesAllAndThenNothing(t *testing.T) {
	w := newWorld(t)
	require.Error(t, w.Ready(), "not ready before the first pass")
	w.pass()
	require.Equal(t, len(w.options.Secrets), w.writes())
	for _, declared := range w.options.Secrets {
		secret := w.get(declared.Name)
		require.Equal(t, reconcile.Manager, secret.Labels[reconcile.ManagedBy])
		require.Equal(t, "ft-services", secret.Labels["app.kubernetes.io/part-of"])
	}
	require.Equal(t, corev1.SecretTypeTLS, w.get("server-tls").Type)
	require.Equal(t, corev1.SecretTypeOpaque, w.get("mysql-root").Type)
	require.Equal(t, "root", string(w.get("mysql-root").Data["username"]))
	require.Len(t, w.get("phpmyadmin-cookie").Data["secret"], 32)
	require.Equal(t, w.get("ca").Data["tls.crt"], w.get("server-tls").Data["ca.crt"])
	require.NotContains(t, w.get("server-tls").Data, "ca.key")

	before := w.all()
	w.restart()
	w.pass()
	require.Equal(t, before, w.all())
	require.Equal(t, len(w.options.Secrets), w.writes(), "the second pass writes nothing")

	for name, value := range before {
		if strings.HasSuffix(name, "/username") {
			continue
		}
		require.NotContains(t, w.log.String(), value, name)
	}
}

func TestUsesNoMoreThanTheRoleAllows(t *testing.T) {
	w := newWorld(t)
	w.pass()
	text, err := os.ReadFile(filepath.Join(base, "role.yaml"))
	require.NoError(t, err)
	var role rbacv1.Role
	require.NoError(t, yaml.UnmarshalStrict(text, &role))
	require.Len(t, role.Rules, 2)
	require.Equal(t, []string{"create"}, role.Rules[0].Verbs)
	require.Equal(t, []string{"get", "update"}, role.Rules[1].Verbs)
	var names []string
	for _, declared := range w.options.Secrets {
		names = append(names, declared.Name)
	}
	require.Equal(t, names, role.Rules[1].ResourceNames)
	for _, action := range w.cluster.Actions() {
		require.Contains(t, []string{"create", "get", "update"}, action.GetVerb())
	}
}

func TestRepairs(t *testing.T) {
	w := newWorld(t)
	w.pass()
	before := w.all()

	w.remove("mysql-root")
	grafana := w.get("grafana-admin")
	delete(grafana.Data, "username")
	grafana.Data["extra"] = []byte("mine")
	w.put(grafana)
	users := w.get("wordpress-users")
	delete(users.Data, "sam")
	w.put(users)
	wordpress := w.get("mysql-wordpress")
	wordpress.Data["password"] = []byte("chosen by a person")
	wordpress.Data["username"] = []byte("renamed")
	w.put(wordpress)
	w.pass()

	after := w.all()
	require.NotEqual(t, before["mysql-root/password"], after["mysql-root/password"])
	require.Equal(t, "admin", after["grafana-admin/username"])
	require.NotEmpty(t, after["wordpress-users/sam"], "a missing password is added")
	require.Equal(t, before["wordpress-users/anna"], after["wordpress-users/anna"])
	require.Equal(t, before["grafana-admin/password"], after["grafana-admin/password"])
	require.Equal(t, "mine", after["grafana-admin/extra"])
	require.Equal(t, "chosen by a person", after["mysql-wordpress/password"])
	require.Equal(t, "wordpress", after["mysql-wordpress/username"])
	require.Equal(t, before["server-tls/tls.crt"], after["server-tls/tls.crt"])
}

func TestPasswordFileFollowsItsUsers(t *testing.T) {
	w := newWorld(t)
	w.pass()
	before := w.all()["ftps-passwd/passwd"]
	users := w.get("ftps-users")
	users.Data["carol"] = []byte("x")
	w.put(users)
	w.pass()
	after := w.all()["ftps-passwd/passwd"]
	require.True(t, strings.HasPrefix(after, before), "alice's and bob's lines are kept")
	require.Contains(t, after, "carol:$6$")

	w.remove("ftps-users")
	w.pass()
	require.NotContains(t, w.all()["ftps-passwd/passwd"], "carol")
}

func TestRenews(t *testing.T) {
	for name, test := range map[string]struct {
		change      func(*world)
		certificate bool // is made anew
		authority   bool
	}{
		"nothing":         {func(w *world) {}, false, false},
		"59 days later":   {func(w *world) { w.now = w.now.Add(59 * day) }, false, false},
		"61 days later":   {func(w *world) { w.now = w.now.Add(61 * day) }, true, false},
		"ten years later": {func(w *world) { w.now = w.now.Add(3600 * day) }, true, true},
		"a new address":   {func(w *world) { w.options.Address = netip.MustParseAddr("192.0.2.8"); w.restart() }, true, false},
		"no authority":    {func(w *world) { w.remove("ca") }, true, true},
		"a broken key": {func(w *world) {
			secret := w.get("server-tls")
			secret.Data["tls.key"] = []byte("x")
			w.put(secret)
		}, true, false},
		"no ca.crt": {func(w *world) {
			secret := w.get("server-tls")
			delete(secret.Data, "ca.crt")
			w.put(secret)
		}, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.pass()
			before := w.all()
			test.change(w)
			w.pass()
			after := w.all()
			require.Equal(t, test.certificate, before["server-tls/tls.crt"] != after["server-tls/tls.crt"])
			require.Equal(t, test.authority, before["ca/tls.crt"] != after["ca/tls.crt"])
			require.Equal(t, after["ca/tls.crt"], after["server-tls/ca.crt"])
			require.Equal(t, before["mysql-root/password"], after["mysql-root/password"])
		})
	}
}

func TestLeavesOthersAlone(t *testing.T) {
	foreign := func(data map[string][]byte) *corev1.Secret {
		return &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Name: "ftps-users", Namespace: namespace, Labels: map[string]string{reconcile.ManagedBy: "external-secrets"}},
			Data:       data,
		}
	}
	t.Run("and uses them", func(t *testing.T) {
		data := map[string][]byte{"alice": []byte("a"), "bob": []byte("b"), "dave": []byte("d")}
		w := newWorld(t, foreign(data))
		w.pass()
		require.Equal(t, foreign(data), w.get("ftps-users"))
		require.Contains(t, w.all()["ftps-passwd/passwd"], "dave:$6$")
	})
	t.Run("and says what they lack", func(t *testing.T) {
		data := map[string][]byte{"alice": []byte("a")}
		w := newWorld(t, foreign(data))
		require.ErrorContains(t, w.Pass(t.Context()), "secret ftps-users: somebody else's, without the key bob")
		require.Error(t, w.Ready())
		require.Equal(t, foreign(data), w.get("ftps-users"))
		require.NotEmpty(t, w.get("mysql-root"), "the others are made all the same")
	})
	t.Run("even without any label", func(t *testing.T) {
		w := newWorld(t, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "server-tls", Namespace: namespace}, Data: map[string][]byte{
			"tls.crt": []byte("x"), "tls.key": []byte("x"), "ca.crt": []byte("x"),
		}})
		require.ErrorContains(t, w.Pass(t.Context()), "secret server-tls: somebody else's, and it is unreadable")
		require.Equal(t, "x", w.all()["server-tls/tls.crt"])
	})
}

// foreignAuthority is the Secret "ca" as somebody else could have made it.
func foreignAuthority(t *testing.T, template x509.Certificate) *corev1.Secret {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template.SerialNumber = big.NewInt(1)
	template.Subject = pkix.Name{CommonName: "theirs"}
	template.NotBefore = time.Now().Add(-time.Hour)
	certificate, err := x509.CreateCertificate(rand.Reader, &template, &template, key.Public(), key)
	require.NoError(t, err)
	encoded, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "ca", Namespace: namespace}, Data: map[string][]byte{
		"tls.crt": pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate}),
		"tls.key": pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: encoded}),
	}}
}

func TestForeignAuthority(t *testing.T) {
	year := time.Now().Add(365 * day)
	authority := func(until time.Time, usage x509.KeyUsage) x509.Certificate {
		return x509.Certificate{NotAfter: until, KeyUsage: usage, BasicConstraintsValid: true, IsCA: true}
	}
	for name, test := range map[string]struct {
		template x509.Certificate
		says     string
	}{
		"good":                      {authority(year, x509.KeyUsageCertSign), ""},
		"for every use":             {authority(year, 0), ""},
		"ends before a certificate": {authority(time.Now().Add(20*day), x509.KeyUsageCertSign), ""},
		"must not sign":             {authority(year, x509.KeyUsageDigitalSignature), "its key must not sign certificates"},
		"is none":                   {x509.Certificate{NotAfter: year, BasicConstraintsValid: true}, "it is no certificate authority"},
		"does not say that it is":   {x509.Certificate{NotAfter: year, KeyUsage: x509.KeyUsageCertSign}, "it is no certificate authority"},
		"has ended":                 {authority(time.Now().Add(-time.Minute), x509.KeyUsageCertSign), "it ends at"},
	} {
		t.Run(name, func(t *testing.T) {
			given := foreignAuthority(t, test.template)
			w := newWorld(t, given)
			for range 3 {
				if test.says == "" {
					w.pass()
					continue
				}
				require.ErrorContains(t, w.Pass(t.Context()), "secret ca: somebody else's, and "+test.says)
				require.Error(t, w.Ready())
			}
			require.Equal(t, given, w.get("ca"))
			require.LessOrEqual(t, w.writes(), len(w.options.Secrets)-1, "nothing is written twice")
			if test.says != "" {
				require.NotContains(t, w.all(), "server-tls/tls.crt")
				return
			}
			block, _ := pem.Decode([]byte(w.all()["server-tls/tls.crt"]))
			made, err := x509.ParseCertificate(block.Bytes)
			require.NoError(t, err)
			require.False(t, made.NotAfter.After(test.template.NotAfter), "it does not outlive its authority")
		})
	}
}

func TestTwoAtOnce(t *testing.T) {
	secrets := schema.GroupResource{Resource: "secrets"}
	t.Run("create", func(t *testing.T) {
		w := newWorld(t)
		raced := false
		w.cluster.PrependReactor("create", "secrets", func(action clienttesting.Action) (bool, runtime.Object, error) {
			made := action.(clienttesting.CreateAction).GetObject().(*corev1.Secret)
			if made.Name != "ftps-users" || raced {
				return false, nil, nil
			}
			raced = true
			first := made.DeepCopy()
			first.Namespace = namespace
			first.Data = map[string][]byte{"alice": []byte("first"), "bob": []byte("first")}
			require.NoError(t, w.cluster.Tracker().Add(first))
			return true, nil, apierrors.NewAlreadyExists(secrets, made.Name)
		})
		require.ErrorContains(t, w.Pass(t.Context()), "waiting for secret ftps-users")
		w.pass()
		require.Equal(t, "first", w.all()["ftps-users/alice"])
	})
	t.Run("update", func(t *testing.T) {
		w := newWorld(t)
		w.pass()
		w.now = w.now.Add(61 * day)
		read := w.get("server-tls")
		read.ResourceVersion = "7"
		w.put(read)
		refuse := true
		w.cluster.PrependReactor("update", "secrets", func(action clienttesting.Action) (bool, runtime.Object, error) {
			sent := action.(clienttesting.UpdateAction).GetObject().(*corev1.Secret)
			require.Equal(t, "7", sent.ResourceVersion, "what was read is what may be replaced")
			return refuse, nil, apierrors.NewConflict(secrets, sent.Name, nil)
		})
		require.True(t, apierrors.IsConflict(w.Pass(t.Context())))
		refuse = false
		w.pass()
	})
}

func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.options.Now = time.Now
		w.restart()
		var down atomic.Bool
		down.Store(true)
		w.cluster.PrependReactor("get", "secrets", func(clienttesting.Action) (bool, runtime.Object, error) {
			return down.Load(), nil, apierrors.NewServiceUnavailable("down")
		})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { w.Run(ctx); close(ended) }()

		time.Sleep(10 * time.Minute)
		synctest.Wait()
		require.Error(t, w.Ready(), "not ready without the API server")
		require.NoError(t, w.Alive(), "but alive")
		down.Store(false)
		time.Sleep(11 * time.Second)
		synctest.Wait()
		require.NoError(t, w.Ready())
		w.remove("mysql-root")
		time.Sleep(11 * time.Second)
		synctest.Wait()
		require.NotEmpty(t, w.get("mysql-root").Data["password"])

		cancel()
		<-ended
		time.Sleep(5 * time.Minute)
		require.ErrorContains(t, w.Alive(), "no pass has ended for")
	})
}
