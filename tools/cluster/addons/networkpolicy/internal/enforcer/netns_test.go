//go:build nettest

package enforcer_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// namespace is a network namespace without a name. The kernel removes it, with its interfaces, when the
// test's process ends in whatever way.
type namespace struct{ file *os.File }

func newNamespace(t *testing.T) namespace {
	t.Helper()
	var n namespace
	require.NoError(t, onOwnThread(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("make a network namespace (as root): %w", err)
		}
		var err error
		n.file, err = os.Open("/proc/thread-self/ns/net")
		return err
	}))
	t.Cleanup(func() { n.file.Close() })
	n.run(t, "ip", "link", "set", "lo", "up")
	return n
}

// onOwnThread runs f on a thread that ends with it, so that a namespace entered there is never left open to others.
func onOwnThread(f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		done <- f()
	}()
	return <-done
}

// do runs f inside the namespace.
func (n namespace) do(f func() error) error {
	return onOwnThread(func() error {
		if err := unix.Setns(int(n.file.Fd()), unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("enter a network namespace: %w", err)
		}
		return f()
	})
}

// path lets other programs find the namespace while the test runs.
func (n namespace) path() string { return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), n.file.Fd()) }

func (n namespace) run(t *testing.T, name string, args ...string) string {
	t.Helper()
	var output []byte
	err := n.do(func() (err error) {
		output, err = exec.Command(name, args...).CombinedOutput()
		return err
	})
	require.NoError(t, err, "%s %s\n%s", name, strings.Join(args, " "), output)
	return string(output)
}

func (n namespace) set(t *testing.T, setting, value string) {
	t.Helper()
	require.NoError(t, n.do(func() error { return os.WriteFile(setting, []byte(value), 0o644) }))
}

// listenTCP answers every line with itself until the test ends.
func (n namespace) listenTCP(t *testing.T, address string) {
	t.Helper()
	var listener net.Listener
	require.NoError(t, n.do(func() (err error) {
		listener, err = net.Listen("tcp", address)
		return err
	}))
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				_, _ = io.Copy(conn, conn)
			}()
		}
	}()
}

func (n namespace) listenUDP(t *testing.T, address string) {
	t.Helper()
	var socket net.PacketConn
	require.NoError(t, n.do(func() (err error) {
		socket, err = net.ListenPacket("udp", address)
		return err
	}))
	t.Cleanup(func() { socket.Close() })
	go func() {
		buffer := make([]byte, 64)
		for {
			size, from, err := socket.ReadFrom(buffer)
			if err != nil {
				return
			}
			_, _ = socket.WriteTo(buffer[:size], from)
		}
	}()
}

// dial connects and has a word echoed. A nil connection without an error is one that nobody answered;
// anything but silence, like a refusal, is an error, since no rule sends that.
func (n namespace) dial(network, source, target string, patience time.Duration) (net.Conn, error) {
	var conn net.Conn
	dialer := net.Dialer{Timeout: patience}
	if source != "" {
		dialer.LocalAddr = &net.TCPAddr{IP: net.ParseIP(source)}
	}
	err := n.do(func() (err error) {
		conn, err = dialer.Dial(network, target)
		return err
	})
	if err == nil {
		err = echo(conn, patience)
	}
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() || errors.Is(err, syscall.EHOSTUNREACH) {
		if conn != nil {
			conn.Close()
		}
		return nil, nil
	}
	return conn, err
}

func echo(conn net.Conn, patience time.Duration) error {
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	if _, err := conn.Write([]byte("ping")); err != nil {
		return err
	}
	_, err := io.ReadFull(conn, make([]byte, 4))
	return err
}

// reaches says if a connection and an answer get through.
func (n namespace) reaches(t *testing.T, network, target string) bool {
	t.Helper()
	return n.reachesFrom(t, network, "", target)
}

func (n namespace) reachesFrom(t *testing.T, network, source, target string) bool {
	t.Helper()
	conn, err := n.dial(network, source, target, 500*time.Millisecond)
	require.NoError(t, err, target)
	if conn != nil {
		conn.Close()
	}
	return conn != nil
}
