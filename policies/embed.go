// Package policies carries the Rego policies inside programs that use them on other repositories.
package policies

import "embed"

// Files are the Rego files of this folder, by category/policy/file: policies, libraries and tests.
//
//go:embed */*/*.rego
var Files embed.FS
