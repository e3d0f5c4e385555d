// Package ask is what tests and the probe program say to each other, in JSON.
package ask

import "time"

// Request is what a probe is asked to do. Which fields count depends on the command.
type Request struct {
	// Targets are what `dial` tries, Patience how long; it bounds `http` and `sql` too.
	Targets  []Target
	Patience time.Duration

	// Method, URL, ContentType and Body make the request of `http`.
	Method, URL, ContentType, Body string
	// User and Password are the account of `http` and of the database.
	User, Password string

	// Address and Database say where the database of `sql` and `write-sql` is. Statements are run one after the
	// other; the last one's rows are the answer.
	Address, Database string
	Statements        []string

	// Table, or measurement, is what `write-sql` and `write-points` write to, with a Pause after each.
	Table string
	Pause time.Duration
}

// Target is an address to reach: "tcp" or "udp", and host:port. Over UDP a name server is expected there.
type Target struct{ Network, Address string }

// Reached says what became of an attempt to reach a target. Other values than these are errors of the network.
type Reached string

// Ends of an attempt.
const (
	// Open: somebody answered.
	Open Reached = "open"
	// Refused: the packet arrived, but nobody listens.
	Refused Reached = "refused"
	// Dropped: nothing came back.
	Dropped Reached = "dropped"
)

// Answer is a response of `http`.
type Answer struct {
	Code int
	Body string
}

// Written says of one number whether its write was acknowledged; it was if there is no error.
type Written struct {
	Number int
	Error  string `json:",omitempty"`
}
