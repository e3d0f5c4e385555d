package schema

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
)

// DefinitionKind is the kind that defines kinds.
const DefinitionKind = "CustomResourceDefinition"

const definitionGroup = "apiextensions.k8s.io"

// Definition is a CustomResourceDefinition as somebody wrote it; it may be broken.
type Definition struct {
	// From says where it is written, for messages.
	From string

	key    string
	served []string
	text   []byte
	id     [sha256.Size]byte
}

// NewDefinition takes an object for a CustomResourceDefinition, and returns nil when it is none, or none
// that names a kind.
func NewDefinition(object map[string]any, from string) (*Definition, error) {
	apiVersion, _ := object["apiVersion"].(string)
	if kind, _ := object["kind"].(string); kind != DefinitionKind || apiVersion != definitionGroup+"/v1" {
		return nil, nil
	}
	spec, _ := object["spec"].(map[string]any)
	names, _ := spec["names"].(map[string]any)
	group, _ := spec["group"].(string)
	kind, _ := names["kind"].(string)
	if group == "" || kind == "" {
		return nil, nil
	}
	definition := &Definition{From: from, key: Key(group, kind)}
	list, _ := spec["versions"].([]any)
	for _, each := range list {
		version, _ := each.(map[string]any)
		if name, ok := version["name"].(string); ok && version["served"] == true {
			definition.served = append(definition.served, name)
		}
	}
	prefer(definition.served)
	var err error
	if definition.text, err = json.Marshal(object); err != nil {
		return nil, fmt.Errorf("encoding the CustomResourceDefinition of %s in %s: %w", kind, from, err)
	}
	definition.id = sha256.Sum256(definition.text)
	return definition, nil
}

// Served returns the versions that can be used, in the API's order of preference.
func (d *Definition) Served() []string { return d.served }

// embeddedDefinitions are those that the generator collected, by their keys.
func embeddedDefinitions() (map[string]*Definition, error) {
	entries, err := lines(DefinitionsFile)
	if err != nil {
		return nil, err
	}
	definitions := make(map[string]*Definition, len(entries))
	for key, text := range entries {
		// The versions stand before the text, so that it need not be read to know them.
		versions, text, found := bytes.Cut(text, []byte(" "))
		if !found {
			return nil, fmt.Errorf("reading the embedded definition of %s: its versions are missing", key)
		}
		definition := &Definition{From: "the validator itself", key: key, text: text, id: sha256.Sum256([]byte(key))}
		definition.served = strings.Split(string(versions), ",")
		prefer(definition.served)
		definitions[key] = definition
	}
	return definitions, nil
}

// cache holds what was compiled, by content: overlays over one base bring the same definitions.
type cache struct {
	lock sync.Mutex
	byID map[[sha256.Size]byte]*compiled
}

func (c *cache) of(definition *Definition) *compiled {
	c.lock.Lock()
	defer c.lock.Unlock()
	if c.byID == nil {
		c.byID = map[[sha256.Size]byte]*compiled{}
	}
	found := c.byID[definition.id]
	if found == nil {
		found = &compiled{key: definition.key, text: definition.text}
		c.byID[definition.id] = found
	}
	return found
}

// kind is the Kind that is defined.
func (d *Definition) kind() string { return d.key[strings.LastIndexByte(d.key, '/')+1:] }
