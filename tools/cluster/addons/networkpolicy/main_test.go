package main

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestCommandLine(t *testing.T) {
	tests := map[string]struct {
		args []string
		code int
		want string
	}{
		"nothing":           {nil, 2, "--kubeconfig and --node-name are needed"},
		"no node":           {[]string{"--kubeconfig", "k"}, 2, "--kubeconfig and --node-name are needed"},
		"quotes":            {[]string{"--cleanup", "--bridge", `cni0" accept #`}, 2, "is not the name of an interface"},
		"a long name":       {[]string{"--cleanup", "--bridge", "sixteen-letters-"}, 2, "is not the name of an interface"},
		"nft is missing":    {[]string{"--cleanup"}, 1, "install the package nftables"},
		"missing to others": {[]string{"--kubeconfig", "k", "--node-name", "n"}, 1, "install the package nftables"},
	}
	t.Setenv("PATH", t.TempDir())
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			assert.Equal(t, test.code, newProgram().Main(test.args, &stdout, &stderr))
			assert.Contains(t, stderr.String(), test.want)
		})
	}
}
