package layers

import (
	"bytes"
	"encoding/base64"
	"regexp"
	"strings"
)

var (
	pemBegin  = []byte("-----BEGIN ")
	pemKey    = regexp.MustCompile(`^-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----`)
	pemHeader = regexp.MustCompile(`^[A-Za-z][A-Za-z-]*: .*$`)
	// Line ends as they are, or as a string of a program or of JSON writes them.
	pemLineEnd = strings.NewReplacer("\r\n", "\n", `\r`, "", `\n`, "\n", `" +`, "", `' +`, "")
)

const (
	pemWindow = 4096 // enough for the headers and the start of the base64
	// The smallest private key in use, Ed25519 as PKCS #8, has 48 bytes.
	smallestKey = 48
)

// hasPrivateKey finds a PEM or OpenPGP block with a private key in it, wherever it stands: in a text,
// indented in YAML, escaped in JSON or as a string in a program. The words alone, as every program
// has them that reads or writes keys, are not enough: base64 of a key's form must follow.
func hasPrivateKey(content []byte) bool {
	for {
		at := bytes.Index(content, pemBegin)
		if at < 0 {
			return false
		}
		content = content[at:]
		if begin := pemKey.Find(content[:min(len(content), 100)]); begin != nil {
			rest := content[len(begin):]
			if isKey(string(rest[:min(len(rest), pemWindow)])) {
				return true
			}
		}
		content = content[len(pemBegin):]
	}
}

// isKey tells whether the text behind a BEGIN line starts with the base64 of a private key.
func isKey(text string) bool {
	var base64Text strings.Builder
	encrypted := false
	for line := range strings.Lines(pemLineEnd.Replace(text)) {
		line = strings.Trim(line, " \t\n\"'`,\\")
		if base64Text.Len() == 0 && pemHeader.MatchString(line) {
			encrypted = encrypted || strings.HasPrefix(line, "Proc-Type: 4,ENCRYPTED")
			continue
		}
		part := line[:len(line)-len(strings.TrimLeft(line, alphabet))]
		base64Text.WriteString(part)
		if part != line {
			break // padding, the END line, or something else altogether
		}
	}
	start := base64Text.String()
	start = start[:min(len(start), smallestKey/3*4)]
	decoded, err := base64.StdEncoding.DecodeString(start)
	if err != nil || len(decoded) < smallestKey {
		return false
	}
	return encrypted || isDER(decoded) || isOpenPGP(decoded) || bytes.HasPrefix(decoded, []byte("openssh-key-v1\x00"))
}

const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

// isDER tells whether an ASN.1 SEQUENCE begins that starts with what starts a key: an INTEGER (the
// version) or, in an encrypted one, a SEQUENCE (the algorithm).
func isDER(text []byte) bool {
	if text[0] != 0x30 {
		return false
	}
	inner := text[2:]
	if text[1] > 0x80 && text[1] <= 0x84 {
		inner = text[2+int(text[1]-0x80):]
	}
	return inner[0] == 0x02 || inner[0] == 0x30
}

// isOpenPGP tells whether a packet begins that is a secret key, in the old or the new form.
func isOpenPGP(text []byte) bool { return text[0]&^0x03 == 0x94 || text[0] == 0xc5 }
