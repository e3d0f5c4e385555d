// Package reach finds out what becomes of a packet that is sent to an address.
package reach

import (
	"context"
	"errors"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/ft-services/ft-services/tools/e2e/internal/ask"
)

// All tries all targets, so many at once, each for as long as patience.
func All(ctx context.Context, targets []ask.Target, patience time.Duration, atOnce int) []ask.Reached {
	results := make([]ask.Reached, len(targets))
	places := make(chan struct{}, atOnce)
	var all sync.WaitGroup
	for i, target := range targets {
		places <- struct{}{}
		all.Go(func() {
			defer func() { <-places }()
			results[i] = one(ctx, target, patience)
		})
	}
	all.Wait()
	return results
}

func one(ctx context.Context, target ask.Target, patience time.Duration) ask.Reached {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	connection, err := (&net.Dialer{}).DialContext(ctx, target.Network, target.Address)
	if err == nil {
		defer connection.Close()
		if target.Network == "udp" {
			deadline, _ := ctx.Deadline()
			err = errors.Join(connection.SetDeadline(deadline), askName(connection))
		}
	}
	switch {
	case err == nil:
		return ask.Open
	case errors.Is(err, syscall.ECONNREFUSED):
		return ask.Refused
	case errors.Is(err, os.ErrDeadlineExceeded) || ctx.Err() != nil:
		return ask.Dropped
	}
	return ask.Reached(err.Error())
}

// askName asks a name server: over UDP only an answer shows that anything has arrived.
func askName(connection net.Conn) error {
	name, err := dnsmessage.NewName("kubernetes.default.svc.cluster.local.")
	if err != nil {
		return err
	}
	question := dnsmessage.Message{
		Header:    dnsmessage.Header{RecursionDesired: true},
		Questions: []dnsmessage.Question{{Name: name, Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET}},
	}
	packed, err := question.Pack()
	if err != nil {
		return err
	}
	if _, err := connection.Write(packed); err != nil {
		return err
	}
	_, err = connection.Read(make([]byte, 512))
	return err
}
