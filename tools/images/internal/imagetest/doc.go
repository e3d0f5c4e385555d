// Package imagetest runs every built image as its pod in the minikube overlay would run it, with the
// configuration files of base/, and uses it. It needs root, runc and `make images`, so its tests are
// built with the tag `imagetest` only:
//
//	go test -tags imagetest -count=1 -timeout 30m -v ./tools/images/internal/imagetest
package imagetest
