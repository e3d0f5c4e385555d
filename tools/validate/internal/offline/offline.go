// Package offline cuts a process off from the network, whatever its libraries would like to fetch.
//
// Kustomize fetches a URL wherever a file may stand, with Go's default HTTP client, and clones a
// repository wherever a directory may stand, with git. There are too many such places, and too many
// ways to write them, to look through what leads there; here both exits are closed.
package offline

import (
	"errors"
	"fmt"
	"net/http"
	"os"
)

// Enter closes the exits for the rest of the process. Call it before the first rendering.
func Enter() error {
	http.DefaultTransport = refuse{}
	http.DefaultClient = &http.Client{Transport: refuse{}}
	// Without a PATH no program is found by its name: no git, and none in its place.
	if err := os.Setenv("PATH", ""); err != nil {
		return fmt.Errorf("clearing PATH: %w", err)
	}
	return nil
}

type refuse struct{}

// RoundTrip implements http.RoundTripper. The client's error names the URL.
func (refuse) RoundTrip(request *http.Request) (*http.Response, error) {
	if request.Body != nil {
		request.Body.Close()
	}
	return nil, errors.New("rendering is offline: install what is remote as a prerequisite at a pinned version, or keep it in the tree")
}
