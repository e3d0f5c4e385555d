package policy

import (
	"sync"

	"github.com/open-policy-agent/opa/v1/ast"
)

// maxVerdicts bounds what is kept of objects, which hold some kilobytes each.
const maxVerdicts = 4096

// verdicts remembers what the policies that look at one object alone have said of it. Overlays over
// one base share most of their objects, so most have been seen. It may be used by several goroutines.
type verdicts struct {
	mutex  sync.Mutex
	byHash map[int][]*verdict
	count  int
}

type verdict struct {
	object  *ast.Term
	results []Result
}

// find returns the verdict on an object, nil when there is none yet.
func (v *verdicts) find(object ast.Value) *verdict {
	v.mutex.Lock()
	defer v.mutex.Unlock()
	for _, each := range v.byHash[object.Hash()] {
		if ast.ValueEqual(each.object.Value, object) {
			return each
		}
	}
	return nil
}

func (v *verdicts) add(object *ast.Term, results []Result) {
	v.mutex.Lock()
	defer v.mutex.Unlock()
	if v.count == maxVerdicts {
		return
	}
	if v.byHash == nil {
		v.byHash = map[int][]*verdict{}
	}
	v.count++
	hash := object.Value.Hash()
	v.byHash[hash] = append(v.byHash[hash], &verdict{object, results})
}
