package e2e

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"net/textproto"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jlaffaye/ftp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// ftpsPlaces is how many clients are let in at once.
const ftpsPlaces = 30

func ftpsChecks() []check {
	return []check{
		{"R8 G5", "a Go client uploads, lists, downloads and deletes", ftpsWithGo},
		{"R8 G5", "curl uploads, lists, downloads and deletes", ftpsWithCurl},
		{"R8 G5", "lftp uploads, lists, downloads and deletes", ftpsWithLftp},
		{"R8 G5", "twenty clients upload and download 10 MB each at the same time", twentyTransfers},
		{"R8 G5", "lftp makes twenty transfers of 10 MB at the same time", twentyWithLftp},
		{"R8 G5", "the certificate is refused by who does not know the authority", ftpsCertificate},
		{"R8 G5", "plain FTP is refused for login, commands and data", plainRefused},
		{"R8", "only TLS 1.2 and newer", func(t *test) {
			t.onlyNewTLS("port 21", func() (net.Conn, error) {
				c, err := t.ftpControl()
				if err != nil {
					return nil, err
				}
				_, err = c.command(234, "AUTH TLS")
				return c.connection, err
			})
		}},
		{"R8", "anonymous access and wrong passwords are refused", ftpsLogins},
		{"R8", "active mode is off, and the passive reply names the one address and its ports", passiveOnly},
		{"R8 G5", "nobody leaves the own home", confinedToHome},
		{"R8", "more clients than places get a clear refusal, and their turn later", morePlaces},
	}
}

// ftpControl is a control connection on which a test says what it likes: a client library sends only what it thinks is
// right, and hides the answers.
type ftpControl struct {
	*textproto.Conn
	connection net.Conn
}

func (t *test) ftpControl() (*ftpControl, error) {
	connection, err := t.dial(ftpPort)
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { connection.Close() })
	c := &ftpControl{textproto.NewConn(connection), connection}
	if _, _, err := c.ReadResponse(220); err != nil {
		return nil, fmt.Errorf("wait for the greeting: %w", err)
	}
	return c, nil
}

// command sends a line and expects a code; 2 stands for all of the two hundreds. An error never holds the argument, which
// may be a password.
func (c *ftpControl) command(expect int, format string, args ...any) (string, error) {
	line := fmt.Sprintf(format, args...)
	verb, _, _ := strings.Cut(line, " ")
	if err := c.PrintfLine("%s", line); err != nil {
		return "", fmt.Errorf("%s: %w", verb, err)
	}
	_, message, err := c.ReadResponse(expect)
	if err != nil {
		return message, fmt.Errorf("%s: %w", verb, err)
	}
	return message, nil
}

// refused sends a line that the server must refuse.
func (c *ftpControl) refused(t *test, line string) {
	t.Helper()
	_, err := c.command(5, "%s", line)
	assert.NoError(t, err, line)
}

// secure makes the connection private.
func (c *ftpControl) secure(t *test) error {
	if _, err := c.command(234, "AUTH TLS"); err != nil {
		return err
	}
	private := tls.Client(c.connection, t.stack.TLS())
	if err := private.HandshakeContext(t.Context()); err != nil {
		return fmt.Errorf("handshake: %w", err)
	}
	c.connection, c.Conn = private, textproto.NewConn(private)
	return nil
}

// ftpLogin is a private control connection of a user; its error says what the server answered.
func (t *test) ftpLogin(user, password string) (*ftpControl, error) {
	c, err := t.ftpControl()
	if err != nil {
		return nil, err
	}
	if err := c.secure(t); err != nil {
		return nil, err
	}
	if _, err := c.command(331, "USER %s", user); err != nil {
		return nil, err
	}
	_, err = c.command(230, "PASS %s", password)
	return c, err
}

// passive asks for a data port and returns what the server says of it.
func (c *ftpControl) passive() (netip.AddrPort, error) {
	message, err := c.command(227, "PASV")
	if err != nil {
		return netip.AddrPort{}, err
	}
	return parsePassive(message)
}

func parsePassive(message string) (netip.AddrPort, error) {
	var a, b, d, e byte
	var high, low uint16
	_, numbers, _ := strings.Cut(message, "(")
	if _, err := fmt.Sscanf(numbers, "%d,%d,%d,%d,%d,%d", &a, &b, &d, &e, &high, &low); err != nil {
		return netip.AddrPort{}, fmt.Errorf("read %q: %w", message, err)
	}
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{a, b, d, e}), high<<8|low), nil
}

// told are the data ports that an FTP client was told of, in any log that holds the server's answers to PASV and EPSV.
var told = regexp.MustCompile(`22[79] Entering .*?\((?:(\d+,\d+,\d+,\d+),(\d+),(\d+)|\|\|\|(\d+)\|)\)`)

// onlyPassivePorts sees in a client's log that it was told of at least so many data ports, all of them passive ones of
// the one address.
func (t *test) onlyPassivePorts(log string, least int) {
	t.Helper()
	found := told.FindAllStringSubmatch(log, -1)
	assert.GreaterOrEqual(t, len(found), least, "data connections in the client's log")
	for _, match := range found {
		port, _ := strconv.Atoi(match[4])
		if match[4] == "" {
			high, _ := strconv.Atoi(match[2])
			low, _ := strconv.Atoi(match[3])
			port = high<<8 | low
			assert.Equal(t, t.stack.Address.String(), strings.ReplaceAll(match[1], ",", "."), match[0])
		}
		assert.True(t, port >= firstPassive && port <= lastPassive, "%s is port %d", match[0], port)
	}
}

// ftpData is a private data connection that does not lose the end of an upload: whoever closes with the server's
// session tickets unread resets the connection, and what the server has not yet taken from it is gone.
type ftpData struct{ *tls.Conn }

func (d ftpData) Close() error {
	if d.ConnectionState().HandshakeComplete {
		_ = d.CloseWrite() // whether all arrived is the server's to say, on the control connection
		_, _ = io.Copy(io.Discard, d.Conn)
	}
	return d.Conn.Close()
}

// ftpClient is the library's client, logged in. The log receives all that the server says on the control connection.
func (t *test) ftpClient(user string, log io.Writer) (*ftp.ServerConn, error) {
	control := true
	client, err := ftp.Dial(net.JoinHostPort(t.stack.Address.String(), fmt.Sprint(ftpPort)),
		ftp.DialWithExplicitTLS(t.stack.TLS()),
		ftp.DialWithDisabledEPSV(true), // PASV names an address too
		ftp.DialWithTrustPasvIP(true),
		ftp.DialWithDebugOutput(log),
		ftp.DialWithDialFunc(func(_, address string) (net.Conn, error) {
			to, err := netip.ParseAddrPort(address)
			if err != nil {
				return nil, err
			}
			if to.Addr() != t.stack.Address {
				return nil, fmt.Errorf("the server names the address %s", to)
			}
			connection, err := t.dial(int(to.Port()))
			if err != nil || control {
				control = false
				return connection, err
			}
			return ftpData{tls.Client(connection, t.stack.TLS())}, nil
		}))
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { _ = client.Quit() })
	return client, client.Login(user, t.secret("ftps-users", user))
}

// syncBuffer is a log that several may write.
type syncBuffer struct {
	mu sync.Mutex
	bytes.Buffer
}

func (b *syncBuffer) Write(data []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.Write(data)
}

func randomBytes(size int) []byte {
	data := make([]byte, size)
	_, _ = rand.Read(data) // it never fails
	return data
}

// remoteName is a new name for files; what begins with it is gone from all homes when the check ends.
func (t *test) remoteName() string {
	name := "e2e-" + strings.ToLower(rand.Text())
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		_, err := t.stack.Kubectl(ctx, "exec", "deploy/ftps", "--", "sh", "-c", `rm -rf /srv/ftps/*/"$1"*`, "sh", name)
		assert.NoError(t, err)
	})
	return name
}

func ftpsWithGo(t *test) {
	for _, user := range []string{"alice", "bob"} {
		var log syncBuffer
		client, err := t.ftpClient(user, &log)
		require.NoError(t, err)
		for _, size := range []int{0, 1, 1<<20 + 1} {
			name, content := t.remoteName(), randomBytes(size)
			require.NoError(t, client.Stor(name, bytes.NewReader(content)), "%d bytes", size)
			entry := ftpEntry(t, client, name)
			require.NotNil(t, entry, "it is listed")
			assert.EqualValues(t, size, entry.Size)
			back, err := ftpRetrieve(client, name, nil)
			require.NoError(t, err, "%d bytes", size)
			assert.True(t, bytes.Equal(content, back), "%d bytes come back as they went", size)
			require.NoError(t, client.Delete(name))
			assert.Nil(t, ftpEntry(t, client, name), "it is still listed")
		}
		t.onlyPassivePorts(log.String(), 12)
	}
}

func ftpEntry(t *test, client *ftp.ServerConn, name string) *ftp.Entry {
	t.Helper()
	entries, err := client.List("")
	require.NoError(t, err)
	for _, entry := range entries {
		if entry.Name == name {
			return entry
		}
	}
	return nil
}

// ftpRetrieve downloads a file; it calls begun, if there is one, when the transfer has begun.
func ftpRetrieve(client *ftp.ServerConn, name string, begun func() error) ([]byte, error) {
	response, err := client.Retr(name)
	if err != nil {
		return nil, err
	}
	if begun != nil {
		err = begun()
	}
	data, readErr := io.ReadAll(response)
	return data, errors.Join(err, readErr, response.Close())
}

// curl runs curl as a user, whose password it reads from stdin. It returns curl's log, with all that the server says.
func (t *test) curl(user string, args ...string) (string, error) {
	t.Helper()
	password := t.secret("ftps-users", user)
	account := fmt.Sprintf("user = \"%s:%s\"\n", user, password)
	log, err := t.stack.Run(t.Context(), strings.NewReader(account), "curl", append([]string{
		"--config", "-", "--verbose", "--stderr", "-", "--no-progress-meter", "--max-time", "60"}, args...)...)
	return strings.ReplaceAll(log, password, "(password)"), err
}

func ftpsWithCurl(t *test) {
	folder, name := t.TempDir(), t.remoteName()
	file, back := filepath.Join(folder, "file"), filepath.Join(folder, "back")
	require.NoError(t, os.WriteFile(file, randomBytes(1<<20+1), 0o600))
	url := "ftp://" + t.stack.Address.String() + "/"
	authority := t.authorityFile()
	var logs strings.Builder
	curl := func(args ...string) {
		t.Helper()
		log, err := t.curl("alice", append([]string{"--ssl-reqd", "--cacert", authority}, args...)...)
		require.NoError(t, err, log)
		logs.WriteString(log)
	}
	listed := func(args ...string) []string {
		t.Helper()
		list := filepath.Join(folder, "list")
		curl(append(args, "--list-only", "--output", list, url)...)
		data, err := os.ReadFile(list)
		require.NoError(t, err)
		return strings.Fields(string(data))
	}
	curl("--upload-file", file, url+name)
	assert.Contains(t, listed(), name)
	curl("--output", back, url+name)
	same(t, file, back)
	assert.NotContains(t, listed("--quote", "DELE "+name), name)
	t.onlyPassivePorts(logs.String(), 4)
}

func same(t *test, file, back string) {
	t.Helper()
	want, err := os.ReadFile(file)
	require.NoError(t, err)
	got, err := os.ReadFile(back)
	require.NoError(t, err)
	assert.True(t, bytes.Equal(want, got), "%s has come back as it went", filepath.Base(file))
}

// lftp runs commands of lftp as a user, whose password it reads from stdin like all the others. It returns what lftp
// prints, and the server's answers.
func (t *test) lftp(user, settings string, commands ...string) (output, log string, err error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "log")
	script := strings.Join(append([]string{
		"set cmd:fail-exit yes",
		"set net:max-retries 2",
		"set net:reconnect-interval-base 1",
		"set net:timeout 20",
		"set xfer:log no",
		settings,
		"debug -o " + file + " 4", // what the server says; from 5 on it also holds the password
		"open -u " + user + "," + t.secret("ftps-users", user) + " ftp://" + t.stack.Address.String(),
	}, commands...), "\n")
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	output, err = t.stack.Run(ctx, strings.NewReader(script+"\n"), "lftp", "--norc")
	data, readErr := os.ReadFile(file)
	return output, string(data), errors.Join(err, readErr)
}

// trusting makes lftp know the stack's authority.
func (t *test) trusting() string {
	return "set ssl:ca-file " + t.authorityFile()
}

func ftpsWithLftp(t *test) {
	folder, name := t.TempDir(), t.remoteName()
	file, back := filepath.Join(folder, "file"), filepath.Join(folder, "back")
	require.NoError(t, os.WriteFile(file, randomBytes(1<<20+1), 0o600))
	output, log, err := t.lftp("alice", t.trusting(),
		"put "+file+" -o "+name, "cls -1", "get "+name+" -o "+back, "rm "+name, "echo deleted", "recls -1")
	require.NoError(t, err, log)
	same(t, file, back)
	before, after, _ := strings.Cut(output, "deleted\n")
	assert.Contains(t, before, name)
	assert.NotContains(t, after, name)
	t.onlyPassivePorts(log, 4)
}

// meeting returns a function that lets nobody go before n have called it.
func meeting(n int32) func() error {
	var came atomic.Int32
	all := make(chan struct{})
	return func() error {
		if came.Add(1) == n {
			close(all)
		}
		select {
		case <-all:
			return nil
		case <-time.After(40 * time.Second):
			return fmt.Errorf("%d of %d transfers have begun within 40 s", came.Load(), n)
		}
	}
}

// readerFunc is a reader without content that does something when it is its turn.
type readerFunc func() error

func (f readerFunc) Read([]byte) (int, error) {
	if err := f(); err != nil {
		return 0, err
	}
	return 0, io.EOF
}

// again repeats a transfer that the server refused before it began because the data port that it had picked was taken:
// two sessions that pick the same port at the same moment can both bind it, and the second cannot listen. That is a
// clear refusal, and clients ask again. It returns how often that was needed.
func again(transfer func() error) (int, error) {
	var err error
	for refused := range 5 {
		if err = transfer(); err == nil || !strings.Contains(err.Error(), "Address already in use") {
			return refused, err
		}
	}
	return 5, err
}

func twentyTransfers(t *test) {
	const clients, size = 20, 10_000_000
	prefix := t.remoteName()
	uploading, downloading := meeting(clients), meeting(clients)
	var logs [clients]syncBuffer
	var errs [clients]error
	var collisions atomic.Int32
	var all sync.WaitGroup
	for i := range clients {
		all.Go(func() {
			errs[i] = func() error {
				name, content := fmt.Sprint(prefix, "-", i), randomBytes(size)
				client, err := t.ftpClient("alice", &logs[i])
				if err != nil {
					return fmt.Errorf("log in: %w", err)
				}
				half := size / 2
				refused, err := again(func() error {
					return client.Stor(name, io.MultiReader(
						bytes.NewReader(content[:half]), readerFunc(uploading), bytes.NewReader(content[half:])))
				})
				collisions.Add(int32(refused))
				if err != nil {
					return fmt.Errorf("upload: %w", err)
				}
				var back []byte
				refused, err = again(func() (err error) {
					back, err = ftpRetrieve(client, name, downloading)
					return err
				})
				collisions.Add(int32(refused))
				if err != nil {
					return fmt.Errorf("download: %w", err)
				}
				if !bytes.Equal(content, back) {
					return errors.New("other bytes come back than went")
				}
				return client.Delete(name)
			}()
		})
	}
	all.Wait()
	for i := range clients {
		assert.NoError(t, errs[i], "client %d", i)
		t.onlyPassivePorts(logs[i].String(), 2)
	}
	t.report.Measure("FTPS", "of 40 transfers, begun anew because two had picked one port", fmt.Sprint(collisions.Load()))
}

func twentyWithLftp(t *test) {
	folder, name := t.TempDir(), t.remoteName()
	local, back := filepath.Join(folder, "local"), filepath.Join(folder, "back")
	require.NoError(t, os.Mkdir(local, 0o700))
	for i := range 20 {
		require.NoError(t, os.WriteFile(filepath.Join(local, fmt.Sprint(i)), randomBytes(10_000_000), 0o600))
	}
	_, log, err := t.lftp("bob", t.trusting(),
		"mirror --reverse --parallel=20 "+local+" "+name, "mirror --parallel=20 "+name+" "+back, "rm -r "+name)
	require.NoError(t, err)
	for i := range 20 {
		same(t, filepath.Join(local, fmt.Sprint(i)), filepath.Join(back, fmt.Sprint(i)))
	}
	t.onlyPassivePorts(log, 40)
}

func ftpsCertificate(t *test) {
	url := "ftp://" + t.stack.Address.String() + "/"
	_, err := t.curl("alice", "--ssl-reqd", url)
	assert.Equal(t, 60, exitCode(err), "curl: %v", err)
	_, err = t.curl("alice", "--ssl-reqd", "--insecure", url)
	assert.NoError(t, err, "overridden")

	// lftp asks for TLS by itself.
	_, log, err := t.lftp("alice", "", "cls")
	assert.ErrorContains(t, err, "Certificate verification")
	assert.NotContains(t, log, "331 ", "it has told a stranger who it is")
	_, _, err = t.lftp("alice", "set ssl:verify-certificate no", "cls")
	assert.NoError(t, err, "overridden")
}

func plainRefused(t *test) {
	const tlsRequired = "SSL/TLS required on the control channel"
	c, err := t.ftpControl()
	require.NoError(t, err)
	for _, line := range []string{"USER alice", "PASS x", "USER anonymous", "PASV", "LIST"} {
		c.refused(t, line)
	}
	output, err := t.curl("alice", "ftp://"+t.stack.Address.String()+"/")
	assert.Error(t, err)
	assert.Contains(t, output, tlsRequired)
	assert.NotContains(t, output, "> PASS", "curl gives up before it sends the password in clear")
	_, log, err := t.lftp("alice", "set ftp:ssl-allow no", "cls")
	assert.Error(t, err)
	assert.Contains(t, log, tlsRequired)

	name := t.remoteName()
	c, err = t.ftpLogin("alice", t.secret("ftps-users", "alice"))
	require.NoError(t, err)
	for _, command := range []string{"LIST", "NLST", "MLSD", "STOR " + name} {
		_, err = c.passive()
		require.NoError(t, err)
		_, err = c.command(522, "%s", command)
		assert.NoError(t, err, "without protection of data: %s", command)
	}
	_, err = c.command(200, "PBSZ 0")
	require.NoError(t, err)
	c.refused(t, "PROT C")
	c.refused(t, "CCC")
	_, err = c.command(200, "PROT P")
	require.NoError(t, err)
	list, err := c.list(t, "NLST")
	require.NoError(t, err)
	assert.NotContains(t, list, name)
}

// list runs a command that sends something over a private data connection.
func (c *ftpControl) list(t *test, command string) (string, error) {
	to, err := c.passive()
	if err != nil {
		return "", err
	}
	return c.listAt(t, to, command)
}

func (c *ftpControl) listAt(t *test, to netip.AddrPort, command string) (string, error) {
	connection, err := t.dial(int(to.Port()))
	if err != nil {
		return "", err
	}
	defer connection.Close()
	if _, err := c.command(150, "%s", command); err != nil {
		return "", err
	}
	private := tls.Client(connection, t.stack.TLS())
	data, err := io.ReadAll(private)
	// The server says that it is done when this side has closed too.
	if err = errors.Join(err, private.Close()); err != nil {
		return "", fmt.Errorf("%s: %w", command, err)
	}
	_, _, err = c.ReadResponse(226)
	return string(data), err
}

// protected is a user's control connection for private transfers.
func (t *test) protected(user string) (*ftpControl, error) {
	t.Helper()
	c, err := t.ftpLogin(user, t.secret("ftps-users", user))
	if err != nil {
		return nil, err
	}
	for _, line := range []string{"PBSZ 0", "PROT P", "TYPE I"} {
		if _, err := c.command(200, "%s", line); err != nil {
			return nil, err
		}
	}
	return c, nil
}

func ftpsLogins(t *test) {
	alice := t.secret("ftps-users", "alice")
	for _, account := range [][2]string{
		{"anonymous", "e2e@example.test"}, {"ftp", "ftp"}, {"alice", "wrong"}, {"alice", ""}, {"bob", alice}, {"root", alice}, {"nobody", alice},
	} {
		_, err := t.ftpLogin(account[0], account[1])
		assert.ErrorContains(t, err, "530", account[0])
	}
	_, err := t.ftpLogin("alice", alice)
	assert.NoError(t, err)
}

func passiveOnly(t *test) {
	c, err := t.protected("alice")
	require.NoError(t, err)
	listener, err := net.Listen("tcp4", ":0")
	require.NoError(t, err)
	defer listener.Close()
	own := c.connection.LocalAddr().(*net.TCPAddr).IP
	port := listener.Addr().(*net.TCPAddr).Port
	c.refused(t, fmt.Sprintf("PORT %s,%d,%d", strings.ReplaceAll(own.String(), ".", ","), port>>8, port&0xff))
	c.refused(t, fmt.Sprintf("EPRT |1|%s|%d|", own, port))

	for range 20 {
		to, err := c.passive()
		require.NoError(t, err)
		assert.Equal(t, t.stack.Address, to.Addr())
		assert.True(t, to.Port() >= firstPassive && to.Port() <= lastPassive, "%s", to)
		extended, err := c.command(229, "EPSV")
		require.NoError(t, err)
		t.onlyPassivePorts("229 "+extended, 1)
	}
}

func confinedToHome(t *test) {
	name := t.remoteName()
	content := "bob's own"
	bob, err := t.ftpClient("bob", io.Discard)
	require.NoError(t, err)
	require.NoError(t, bob.Stor(name, strings.NewReader(content)))
	library, err := t.ftpClient("alice", io.Discard)
	require.NoError(t, err)
	require.NoError(t, library.Stor(name+"-alice", strings.NewReader("alice's own")))
	folders := []string{
		"../bob", "/../bob", "/srv/ftps/bob", "//srv/ftps/bob", "../../../srv/ftps/bob", "/srv/ftps/alice/../bob", "~bob",
	}

	alice, err := t.protected("alice")
	require.NoError(t, err)
	// mod_vroot would follow a link out of the home, so it matters that no client can make one.
	for _, line := range []string{"SITE SYMLINK /srv/ftps/bob " + name, "SITE LINK /srv/ftps/bob " + name, "SITE CPFR /etc/passwd"} {
		alice.refused(t, line)
	}
	for _, folder := range append(folders, "/etc", "../etc", "//etc", "/proc/self/root") {
		alice.refused(t, "CWD "+folder)
		for _, command := range []string{"LIST ", "NLST ", "MLSD "} {
			// proftpd may answer with an empty list.
			list, err := alice.list(t, command+folder)
			if err != nil {
				var refusal *textproto.Error
				require.ErrorAs(t, err, &refusal, command+folder)
			}
			assert.Empty(t, list, command+folder)
		}
	}
	for _, folder := range folders {
		file := folder + "/" + name
		for _, command := range []string{"SIZE ", "MDTM ", "DELE ", "RNFR "} {
			alice.refused(t, command+file)
		}
		alice.refused(t, "MKD "+file+"-new")
		for _, command := range []string{"RETR " + file, "STOR " + file + "-new", "APPE " + file} {
			_, err = alice.passive()
			require.NoError(t, err)
			alice.refused(t, command)
		}
	}
	for _, file := range []string{"/etc/passwd", "//etc/passwd", "../../../etc/passwd", "/run/ftps/private/passwd"} {
		_, err = alice.passive()
		require.NoError(t, err)
		alice.refused(t, "RETR "+file)
	}
	_, err = alice.command(2, "CWD ..")
	require.NoError(t, err)
	list, err := alice.list(t, "NLST")
	require.NoError(t, err)
	assert.Contains(t, list, name+"-alice", "above the home is the home")
	assert.Equal(t, 1, strings.Count(list, name), "nothing of what was tried is there: %s", list)

	back, err := ftpRetrieve(bob, name, nil)
	require.NoError(t, err)
	assert.Equal(t, content, string(back))
	assert.Nil(t, ftpEntry(t, bob, name+"-new"))
}

func morePlaces(t *test) {
	const full = "All 30 places are taken"
	var inside []*ftpControl
	enter := func(c *assert.CollectT) {
		client, err := t.protected("alice")
		require.NoError(c, err)
		inside = append(inside, client)
	}
	for len(inside) < ftpsPlaces {
		// Who has just left may still be counted.
		t.eventually(20*time.Second, enter, "place %d", len(inside)+1)
	}
	_, err := t.protected("bob")
	assert.ErrorContains(t, err, full)

	// Each of them has a data port at the same time, and it works.
	ports := map[netip.AddrPort]*ftpControl{}
	for _, client := range inside {
		to, err := client.passive()
		require.NoError(t, err)
		assert.True(t, to.Port() >= firstPassive && to.Port() <= lastPassive, "%s", to)
		ports[to] = client
	}
	assert.Len(t, ports, ftpsPlaces, "two clients were told of the same port")
	for to, client := range ports {
		_, err := client.listAt(t, to, "NLST")
		assert.NoError(t, err, "%s", to)
	}

	_, err = inside[0].command(221, "QUIT")
	require.NoError(t, err)
	t.eventually(20*time.Second, enter, "the place of who has left")
	_, err = t.protected("bob")
	assert.ErrorContains(t, err, full)
	for _, client := range inside[1:] {
		_, err = client.command(221, "QUIT")
		assert.NoError(t, err)
	}
}
