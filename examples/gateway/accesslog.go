// SPDX-License-Identifier: MIT

package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// A request is one line of an access log.
type request struct {
	client string // address or host name
	user   string // empty if the log names none
	at     time.Time
	method string
	target string // as sent: a path, with its query
	status int    // of the answer given then
}

// url returns where r goes on host. Targets come from strangers: one that is no
// URL is taken as a path, and escaped.
func (r *request) url(host string) *url.URL {
	u, err := url.ParseRequestURI(r.target)
	if err != nil || !strings.HasPrefix(u.Path, "/") {
		u = &url.URL{Path: "/" + strings.TrimPrefix(r.target, "/")}
	}
	return &url.URL{Scheme: "http", Host: host, Path: u.Path, RawPath: u.RawPath, RawQuery: escapeQuery(u.RawQuery)}
}

// escapeQuery escapes bytes that would end a request line early; net/url passes
// queries on as they are.
func escapeQuery(q string) string {
	var b strings.Builder
	for i := range len(q) {
		if c := q[i]; c <= ' ' || c >= 0x7f {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// maxLine bounds the lines that are looked at; longer ones count as malformed.
const maxLine = 1 << 16

// maxRequests bounds the requests that a replay holds in memory.
const maxRequests = 10_000_000

// readLog reads an access log and counts the lines that are not requests. Blank
// lines are neither.
func readLog(r io.Reader) (requests []request, malformed int, err error) {
	br := bufio.NewReaderSize(r, maxLine)
	for {
		line, long, err := br.ReadLine()
		if errors.Is(err, io.EOF) {
			return requests, malformed, nil
		}
		if err != nil {
			return nil, 0, err
		}

		// A line that is too long is read to its end, and counted.
		if long {
			malformed++
			for long && err == nil {
				_, long, err = br.ReadLine()
			}
			continue
		}

		text := strings.TrimSpace(string(line))
		if text == "" {
			continue
		}

		req, err := parseLine(text)
		if err != nil {
			malformed++
			continue
		}
		if len(requests) == maxRequests {
			return nil, 0, errors.New("more than " + strconv.Itoa(maxRequests) + " requests")
		}
		requests = append(requests, req)
	}
}

// The parts of a line that can be wrong.
var (
	errClient  = errors.New("no client")
	errTime    = errors.New("no time in brackets")
	errRequest = errors.New("no request in quotes")
	errStatus  = errors.New("no status")
	errSize    = errors.New("no size")
)

// parseLine reads a line in Common Log Format; text after its last field, as in
// the Combined format, is not looked at:
//
//	203.0.113.9 - alice [17/May/2015:10:05:03 +0000] "GET /a?b HTTP/1.1" 200 2326 "referrer" "agent"
func parseLine(line string) (request, error) {
	var r request
	client, rest, ok := strings.Cut(line, " ")
	if !ok || !isClient(client) {
		return r, errClient
	}

	// A user name may contain spaces, so the bracket is looked for, not the
	// field counted.
	names, rest, ok := strings.Cut(rest, " [")
	_, user, named := strings.Cut(names, " ")
	if !ok || !named {
		return r, errTime
	}

	stamp, rest, ok := strings.Cut(rest, "] ")
	at, err := time.Parse("02/Jan/2006:15:04:05 -0700", stamp)
	if !ok || err != nil || at.Year() < 1700 || at.Year() > 2200 { // outside, nanoseconds overflow
		return r, errTime
	}

	quoted, rest, ok := cutQuoted(rest)
	if !ok {
		return r, errRequest
	}
	method, target, ok := parseRequest(quoted)
	if !ok {
		return r, errRequest
	}

	// The status, and the size of the answer.
	fields := strings.Fields(rest)
	if len(fields) < 2 {
		return r, errStatus
	}
	status, err := strconv.Atoi(fields[0])
	if err != nil || status < 100 || status > 999 {
		return r, errStatus
	}
	if _, err := strconv.ParseUint(fields[1], 10, 64); err != nil && fields[1] != "-" {
		return r, errSize
	}

	r = request{client: client, at: at.UTC(), method: method, target: target, status: status}
	if user != "-" && user != `""` {
		r.user = user
	}
	return r, nil
}

// isClient reports whether s can stand in X-Forwarded-For as one address or
// name.
func isClient(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' || s[i] == ',' || s[i] == '"' {
			return false
		}
	}
	return s != "" && s != "-"
}

// cutQuoted returns the text of s, which must begin with a quote, up to the
// closing one, unescaped as far as it is well escaped, and the rest.
func cutQuoted(s string) (text, rest string, ok bool) {
	if !strings.HasPrefix(s, `"`) {
		return "", "", false
	}

	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '"':
			text, err := strconv.Unquote(s[:i+1])
			if err != nil {
				text = s[1:i]
			}
			return text, s[i+1:], true
		}
	}
	return "", "", false
}

// parseRequest splits a request line into its method and its target, which is
// made a path.
func parseRequest(s string) (method, target string, ok bool) {
	method, target, ok = strings.Cut(s, " ")
	if !ok || !isMethod(method) {
		return "", "", false
	}

	// Targets may contain spaces that a careless client did not escape: only
	// the last word may be the protocol, and HTTP/0.9 has none.
	if i := strings.LastIndexByte(target, ' '); i >= 0 && strings.HasPrefix(target[i+1:], "HTTP/") {
		target = target[:i]
	}

	switch {
	case strings.HasPrefix(target, "/"):
		return method, target, true
	case target == "*":
		return method, "/", true
	}
	u, err := url.ParseRequestURI(target) // absolute form, as sent to a proxy
	if err != nil || u.Host == "" {
		return "", "", false
	}
	return method, "/" + strings.TrimPrefix(u.RequestURI(), "/"), true
}

// isMethod reports whether a gateway would get a request with this method:
// CONNECT is for proxies of another kind.
func isMethod(s string) bool {
	for i := range len(s) {
		if (s[i] < 'A' || s[i] > 'Z') && s[i] != '-' && s[i] != '_' {
			return false
		}
	}
	return s != "" && len(s) <= 32 && s != http.MethodConnect
}
