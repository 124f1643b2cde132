// SPDX-License-Identifier: MIT

package main

import (
	"errors"
	"fmt"
	"net/url"
	"path"
	"strings"
)

// maxURL is the length of the longest target. Browsers take longer ones, and
// few servers do.
const maxURL = 2048

// errTarget is wrapped by errors that say why a URL cannot be a target.
var errTarget = errors.New("not a target")

// normalize returns the one spelling that a URL shares with those that mean the
// same by RFC 3986 (section 6.2.2 and 6.2.3): scheme and host in lower case, no
// default port, no dots in the path, no escapes that are not needed. It does
// not guess: a slash at the end, the order of a query and a fragment stay.
//
// Only http and https are targets. A link with javascript: runs in the page
// that shows it, with the rights of this site; data: is a page that somebody
// else wrote under our name; file: and the schemes of apps do things on the
// machine of the reader that a web page may not ask for.
func normalize(raw, self string) (string, error) {
	raw = strings.TrimSpace(raw)
	if len(raw) > maxURL {
		return "", fmt.Errorf("%w: longer than %d bytes", errTarget, maxURL)
	}
	u, err := url.Parse(raw)
	if err != nil {
		return "", fmt.Errorf("%w: no URL", errTarget)
	}
	u.Host = strings.ToLower(u.Host)
	switch {
	case u.Scheme != "http" && u.Scheme != "https":
		return "", fmt.Errorf("%w: only http and https", errTarget)
	case u.Opaque != "" || u.Hostname() == "":
		return "", fmt.Errorf("%w: no host", errTarget)
	case u.User != nil:
		return "", fmt.Errorf("%w: a name before the host looks like one", errTarget)
	case !isASCII(u.Host):
		return "", fmt.Errorf("%w: spell the host in ASCII, with xn--", errTarget)
	case strings.EqualFold(u.Host, self):
		return "", fmt.Errorf("%w: a link to this site would be a circle", errTarget)
	}

	// The host, without the port that the scheme has anyway.
	if p := u.Port(); p == "" || u.Scheme == "http" && p == "80" || u.Scheme == "https" && p == "443" {
		u.Host = strings.TrimSuffix(u.Host, ":"+p)
	}

	// The path, without dots. What a slash is must not change, so an escaped
	// one stays.
	escaped := plain(u.EscapedPath())
	clean := path.Clean("/" + escaped)
	if last := escaped[strings.LastIndexByte(escaped, '/')+1:]; clean != "/" && (last == "" || last == "." || last == "..") {
		clean += "/"
	}
	if !strings.Contains(escaped, "//") { // empty parts mean something to some servers
		escaped = clean
	}
	if u.Path, err = url.PathUnescape(escaped); err != nil {
		return "", fmt.Errorf("%w: no URL", errTarget)
	}
	u.RawPath = escaped
	u.RawQuery = plain(u.RawQuery)
	s := u.String()
	if len(s) > maxURL {
		return "", fmt.Errorf("%w: longer than %d bytes", errTarget, maxURL)
	}
	return s, nil
}

// plain returns s with escapes in upper case, without those of letters, digits
// and -._~ that mean the same, and with those that a header needs.
func plain(s string) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		c := s[i]
		escaped := false
		if c == '%' && i+2 < len(s) {
			hi, lo := strings.IndexByte(hex, upper(s[i+1])), strings.IndexByte(hex, upper(s[i+2]))
			if escaped = hi >= 0 && lo >= 0; escaped {
				c = byte(hi<<4 | lo)
				i += 2
			}
		}
		switch {
		case escaped && !unreserved(c), c <= ' ', c >= 0x7f, c == '"', c == '<', c == '>':
			b.WriteByte('%')
			b.WriteByte(hex[c>>4])
			b.WriteByte(hex[c&15])
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

func upper(c byte) byte {
	if 'a' <= c && c <= 'f' {
		return c - 'a' + 'A'
	}
	return c
}

func unreserved(c byte) bool {
	return strings.IndexByte(digits, c) >= 0 || strings.IndexByte("-._~", c) >= 0
}

func isASCII(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r > 0x7e || r <= ' ' }) < 0
}

// Lengths of an alias.
const (
	minAlias = 3
	maxAlias = 32
)

// errAlias is returned for what cannot be an alias.
var errAlias = fmt.Errorf("an alias has %d to %d letters, digits, - and _, and is no name of a page", minAlias, maxAlias)

// checkAlias returns an error if nobody may have the alias.
func checkAlias(s string) error {
	bad := strings.IndexFunc(s, func(r rune) bool {
		return r > 0x7e || strings.IndexByte(digits, byte(r)) < 0 && r != '-' && r != '_'
	})
	if len(s) < minAlias || len(s) > maxAlias || bad >= 0 || strings.EqualFold(s, "api") {
		return errAlias
	}
	return nil
}
