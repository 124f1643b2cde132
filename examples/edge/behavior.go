// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// A behavior says how answers of some paths are kept.
type behavior struct {
	name          string
	min, def, max time.Duration // of the time for which they are fresh
	swr           time.Duration // how long after that an old one is given while a new one is fetched
	second        bool          // they are kept only if somebody has asked before
}

// behaviors are looked through in this order.
var behaviors = []behavior{
	{name: "*.css *.js", min: time.Minute, def: time.Hour, max: time.Hour, swr: 10 * time.Minute},
	{name: "/stories/", min: time.Minute, def: 90 * time.Second, max: 2 * time.Minute, swr: time.Minute},
	{name: "/posts/", min: time.Minute, def: time.Hour, max: time.Hour, swr: 5 * time.Minute},
	{name: "/img/", min: time.Hour, def: 24 * time.Hour, max: 24 * time.Hour, swr: time.Hour, second: true},
	{name: "others", def: time.Hour, max: 24 * time.Hour, swr: 10 * time.Minute},
}

// Times that are the same for all paths.
const (
	negative = 30 * time.Second // what is not there is not looked for again for so long
	hopeful  = 10 * time.Minute // so much longer an old answer is given if there is no new one
)

// behaviorOf returns the number of the behavior of a path. Pictures of the path
// /images/ are pictures, too.
func behaviorOf(path string) int {
	path, _, _ = strings.Cut(path, "?")
	switch {
	case strings.HasSuffix(path, ".css") || strings.HasSuffix(path, ".js"):
		return 0
	case strings.HasPrefix(path, "/stories/"):
		return 1
	case strings.HasPrefix(path, "/posts/"):
		return 2
	case strings.HasSuffix(path, ".jpg") || strings.HasSuffix(path, ".png") || strings.HasSuffix(path, ".gif"):
		return 3
	}
	return 4
}

// clamp returns for how long an answer is fresh whose origin says control, and
// whether it may be kept at all.
func (b *behavior) clamp(control string) (fresh time.Duration, ok bool) {
	fresh = b.def
	for directive := range strings.SplitSeq(control, ",") {
		name, value, _ := strings.Cut(strings.ToLower(strings.TrimSpace(directive)), "=")
		switch name {
		case "no-store", "private":
			return 0, false
		case "max-age":
			if seconds, err := strconv.ParseUint(value, 10, 32); err == nil {
				fresh = min(max(time.Duration(seconds)*time.Second, b.min), b.max)
			}
		}
	}
	return fresh, true
}

// reportBehaviors prints what becomes of what the origin says.
func reportBehaviors(_ context.Context, t *traffic, w io.Writer) error {
	bytes := 0
	for _, o := range t.objects {
		bytes += o.size / 1000
	}
	fmt.Fprintf(w, "%d requests for %d objects of %.0f MB: %s\n\n", len(t.requests), len(t.objects), float64(bytes)/1000, t.title)
	fmt.Fprintf(w, "%-12s%22s%7s%9s%7s%12s%10s\n", "path", "the origin says", "min", "default", "max", "is fresh", "then old")
	for i, says := range []string{"public, max-age=600", "max-age=10", "max-age=86400", "", "private, no-store"} {
		b := behaviors[i]
		fresh, ok := b.clamp(says)
		result := short(fresh)
		if !ok {
			result = "never kept"
		}
		if says == "" {
			says = "nothing"
		}
		fmt.Fprintf(w, "%-12s%22s%7s%9s%7s%12s%10s\n", b.name, says, short(b.min), short(b.def), short(b.max), result, short(b.swr))
	}
	_, err := fmt.Fprintf(w, "%-12s%22s%35s\n\n", "any", "404", short(negative))
	return err
}

// short returns a duration without the zeros that time.Duration prints.
func short(d time.Duration) string {
	s := d.String()
	for _, zero := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(s, zero) {
			s = s[:len(s)-2]
		}
	}
	return s
}
