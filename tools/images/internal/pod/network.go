package pod

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Network is a network namespace with nothing but a loopback interface.
type Network struct {
	file string // a bind mount that keeps it
}

// newNetwork makes the namespace and mounts it at the file, which it makes too.
func newNetwork(file string) (*Network, error) {
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		return nil, fmt.Errorf("making a network namespace: %w", err)
	}
	err := onOwnThread(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("making a network namespace: %w", err)
		}
		if err := loopbackUp(); err != nil {
			return fmt.Errorf("starting its loopback interface: %w", err)
		}
		if err := unix.Mount("/proc/thread-self/ns/net", file, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("keeping the network namespace at %s: %w", file, err)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &Network{file: file}, nil
}

// onOwnThread runs a function that changes its thread's namespaces. The goroutine ends without
// unlocking, so the thread ends with it and nobody else ever runs on it.
func onOwnThread(f func() error) error {
	result := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		result <- f()
	}()
	return <-result
}

func loopbackUp() error {
	socket, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(socket)
	request, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	request.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(socket), unix.SIOCSIFFLAGS, uintptr(unsafe.Pointer(request)))
	if errno != 0 {
		return errno
	}
	return nil
}

// Do runs a function on a thread inside the namespace. A socket that it makes stays inside.
func (n *Network) Do(f func() error) error {
	return onOwnThread(func() error {
		namespace, err := os.Open(n.file)
		if err != nil {
			return fmt.Errorf("entering the network namespace: %w", err)
		}
		defer namespace.Close()
		if err := unix.Setns(int(namespace.Fd()), unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("entering the network namespace: %w", err)
		}
		return f()
	})
}

// DialContext connects to a port inside, whatever the host of the address: all names mean 127.0.0.1.
func (n *Network) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	var connection net.Conn
	err = n.Do(func() error {
		// An address instead of a name: the dialer then starts no further goroutine, which would be outside.
		var dialer net.Dialer
		connection, err = dialer.DialContext(ctx, network, net.JoinHostPort(podAddress, port))
		return err
	})
	return connection, err
}

// Listen opens a TCP port of 127.0.0.1 inside; port 0 means any.
func (n *Network) Listen(port int) (net.Listener, error) {
	var listener net.Listener
	err := n.Do(func() (err error) {
		listener, err = net.ListenTCP("tcp4", &net.TCPAddr{IP: net.ParseIP(podAddress), Port: port})
		return err
	})
	return listener, err
}

// ListenPacket opens a UDP port of 127.0.0.1 inside.
func (n *Network) ListenPacket(port int) (net.PacketConn, error) {
	var connection net.PacketConn
	err := n.Do(func() (err error) {
		connection, err = net.ListenUDP("udp4", &net.UDPAddr{IP: net.ParseIP(podAddress), Port: port})
		return err
	})
	return connection, err
}

// Transport is for HTTP clients that speak to the inside. Each request has a connection of its own:
// one from before a server's restart would fail the first request after it.
func (n *Network) Transport() *http.Transport {
	return &http.Transport{DialContext: n.DialContext, DisableKeepAlives: true}
}
