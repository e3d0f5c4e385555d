package rules_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/knftables"
)

// packet is the first one of a connection.
type packet struct {
	hook             knftables.BaseChainHook
	iif, oif         string
	source, target   string
	protocol         string
	port             int
	established, ip6 bool
}

// passes says what the rules of a table, as text, do to a packet. It knows the few expressions that
// this package writes and panics at any other, so that a test cannot pass by not understanding.
func passes(t *testing.T, nft *knftables.Fake, p packet) bool {
	t.Helper()
	hooked := false
	names := make([]string, 0, len(nft.Table.Chains))
	for name := range nft.Table.Chains {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		if hook := nft.Table.Chains[name].Hook; hook != nil && *hook == p.hook {
			hooked = true
			if (evaluation{nft.Table, p}).chain(name) == "drop" {
				return false
			}
		}
	}
	if !hooked {
		t.Fatalf("no chain is attached to the hook %s", p.hook)
	}
	return true
}

type evaluation struct {
	table *knftables.FakeTable
	packet
}

// chain returns "accept" or "drop", or "" where the chain ends without either.
func (e evaluation) chain(name string) string {
	for _, rule := range e.table.Chains[name].Rules {
		verdict, target := e.rule(rule.Rule)
		switch verdict {
		case "jump":
			if result := e.chain(target); result != "" {
				return result
			}
		case "goto":
			return e.chain(target)
		case "accept", "drop":
			return verdict
		}
	}
	return ""
}

// rule returns the verdict of a rule that matches and "" of one that does not.
func (e evaluation) rule(text string) (verdict, target string) {
	words := strings.Fields(text)
	next := func() string {
		word := words[0]
		words = words[1:]
		return word
	}
	for len(words) > 0 {
		match := true
		switch word := next(); word {
		case "accept", "drop":
			return word, ""
		case "jump", "goto":
			return word, next()
		case "counter":
		case "ct":
			if next() != "state" || next() != "established,related" {
				panic(text)
			}
			match = e.established
		case "iifname":
			match = e.is(next, `"`+e.iif+`"`)
		case "oifname":
			match = e.is(next, `"`+e.oif+`"`)
		case "meta":
			switch next() {
			case "nfproto":
				match = next() == "ipv6" && e.ip6
			case "l4proto":
				match = next() == e.protocol
			default:
				panic(text)
			}
		case "ip":
			field := next()
			if e.ip6 {
				return "", ""
			}
			key := map[string]string{"saddr": e.source, "daddr": e.target}[field]
			switch {
			case words[0] == ".":
				words = words[3:] // ". ip daddr"
				match = e.is(next, e.source+" . "+e.target)
			case words[0] == "vmap":
				next()
				element := e.element(strings.TrimPrefix(next(), "@"), key)
				if element == nil {
					return "", ""
				}
				verdict, target, _ = strings.Cut(element.Value[0], " ")
				return verdict, target
			default:
				match = e.is(next, key)
			}
		case "tcp", "udp", "sctp":
			if next() != "dport" {
				panic(text)
			}
			var first, last int
			number := next()
			if n, _ := fmt.Sscanf(number, "%d-%d", &first, &last); n == 1 {
				last = first
			}
			match = word == e.protocol && first <= e.port && e.port <= last
		default:
			panic(fmt.Sprintf("%q in %q", word, text))
		}
		if !match {
			return "", ""
		}
	}
	return "", ""
}

// is reads an operand, perhaps after "!=", and compares it to a key.
func (e evaluation) is(next func() string, key string) bool {
	operand := next()
	if operand == "!=" {
		return !e.is(next, key)
	}
	switch {
	case strings.HasPrefix(operand, "@"):
		return e.element(operand[1:], key) != nil
	case operand == "{":
		found := false
		for word := next(); word != "}"; word = next() {
			found = found || strings.TrimSuffix(word, ",") == key
		}
		return found
	case strings.Contains(operand, "/"):
		return netip.MustParsePrefix(operand).Contains(netip.MustParseAddr(key))
	}
	return operand == key
}

func (e evaluation) element(name, key string) *knftables.Element {
	fields := strings.Split(key, " . ")
	if set := e.table.Sets[name]; set != nil {
		return set.FindElement(fields...)
	}
	return e.table.Maps[name].FindElement(fields...)
}
