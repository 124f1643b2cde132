// SPDX-License-Identifier: MIT

package main

import (
	"bufio"
	"cmp"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
)

// blockSize is the size of an object of a trace that has none.
const blockSize = 4096

// maxSize bounds the size of an object.
const maxSize = 1 << 30

var errLine = errors.New("neither an access log nor a trace")

// read reads an access log or a trace.
func (t *traffic) read(f io.Reader) error {
	in := bufio.NewReaderSize(f, 1<<16)
	if magic, _ := in.Peek(2); string(magic) == "\x1f\x8b" {
		z, err := gzip.NewReader(in)
		if err != nil {
			return err
		}
		in = bufio.NewReaderSize(z, 1<<16)
	}

	// A log has quotes.
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 1<<20)
	var begin time.Time
	malformed := 0
	kind := ""
	for n := 1; lines.Scan(); n++ {
		text := strings.TrimSpace(lines.Text())
		if text == "" || text == "*" || strings.HasPrefix(text, "#") {
			continue
		}
		if kind == "" {
			kind = "trace"
			if strings.Contains(text, `"`) {
				kind = "log"
			}
		}
		var err error
		if kind == "log" {
			if err = t.logLine(text, &begin); err != nil {
				malformed++
				err = nil
			}
		} else {
			err = t.traceLine(text)
		}
		if err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
		if len(t.requests) > maxRequests {
			return fmt.Errorf("more than %d requests", maxRequests)
		}
	}
	if err := lines.Err(); err != nil {
		return err
	}
	if len(t.requests) == 0 {
		return errors.New("it has no requests")
	}
	t.finish(kind, malformed)
	return nil
}

// finish gives times to the requests of a trace, and sorts those of a log.
func (t *traffic) finish(kind string, malformed int) {
	if kind == "trace" {
		for i := range t.requests {
			t.requests[i].at = time.Duration(i) * time.Second / perSecond
		}
	}
	slices.SortStableFunc(t.requests, func(a, b request) int { return cmp.Compare(a.at, b.at) })
	first := t.requests[0].at
	for i := range t.requests {
		t.requests[i].at -= first
	}
	t.title = fmt.Sprintf("a %s, in %v", kind, t.requests[len(t.requests)-1].at.Round(time.Second))
	if malformed > 0 {
		t.title += fmt.Sprintf(" (%d malformed lines)", malformed)
	}
	t.change(rand.New(rand.NewPCG(t.seed, 2)))
}

// traceLine reads a line of a trace.
func (t *traffic) traceLine(text string) error {
	id, count, size := text, 1, blockSize
	if f := strings.Split(text, ","); len(f) >= 3 {
		n, err := strconv.Atoi(strings.TrimSpace(f[2]))
		if err != nil || n < 0 || n > maxSize {
			return errLine
		}
		id, size = strings.TrimSpace(f[1]), max(n, 1)
	} else if f := strings.Fields(text); len(f) == 4 {
		n, err := strconv.Atoi(f[1])
		if err != nil || n < 0 || n > maxRequests {
			return errLine
		}
		id, count = f[0], n
	}
	block, err := strconv.ParseUint(id, 10, 64)
	if err != nil {
		return errLine
	}
	for i := range count {
		key := t.object(fmt.Sprintf("/block/%d", block+uint64(i)), func() object { return object{size: size} })
		t.requests = append(t.requests, request{key: key})
	}
	return nil
}

// logLine reads a line of an access log in Common or Combined format:
//
//	203.0.113.9 - - [17/May/2015:10:05:03 +0000] "GET / HTTP/1.1" 200 2326 ...
//
// Requests that change something are left out. The size of an object is the
// first that an answer has.
func (t *traffic) logLine(text string, begin *time.Time) error {
	_, rest, ok := strings.Cut(text, " [")
	stamp, rest, ok2 := strings.Cut(rest, `] "`)
	at, err := time.Parse("02/Jan/2006:15:04:05 -0700", stamp)
	if !ok || !ok2 || err != nil || at.Year() < 1990 || at.Year() > 2200 {
		return errLine
	}
	end := 0
	for end < len(rest) && rest[end] != '"' {
		if rest[end] == '\\' {
			end++
		}
		end++
	}
	if end >= len(rest) {
		return errLine
	}
	words := strings.Fields(rest[:end])
	fields := strings.Fields(rest[end+1:])
	if len(words) < 2 || len(fields) < 2 {
		return errLine
	}
	if words[0] != "GET" && words[0] != "HEAD" {
		return nil
	}
	if begin.IsZero() {
		*begin = at
	}

	// A 304 says that the client has a copy.
	size, err := strconv.Atoi(fields[1])
	if err != nil || size < 0 || size > maxSize {
		size = 0
	}
	key := t.object(words[1], func() object {
		return object{missing: fields[0] == "404", tags: []string{"in " + path.Dir(words[1])}}
	})
	o := &t.objects[key]
	if o.size <= 1 {
		o.size = max(size, 1)
	}
	o.missing = o.missing && fields[0] == "404"
	t.requests = append(t.requests, request{at: at.Sub(*begin), key: key, again: fields[0] == "304"})
	return nil
}
