// SPDX-License-Identifier: MIT

package main

import (
	"fmt"
	"net/http"
	"strings"
	"time"
)

// An ageLaw is the law that the driver holds the caches to. It takes the word
// of the servers that wrote the answers, each with its date, and not that of
// the caches.
type ageLaw struct {
	freshness
	answers, reused, stale  int // judged; of these, from an earlier moment; marked as stale
	oldest, oldestWhenStale time.Duration
	broken                  error // the first violation
}

// observe judges the answer that was given at at to a GET of a service that has
// a cache, and that last failed at failed.
func (l *ageLaw) observe(at, failed time.Time, resp *http.Response) {
	if resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusNotFound {
		return
	}
	if err := l.judge(at, failed, resp.Header); err != nil && l.broken == nil {
		l.broken = fmt.Errorf("law broken: at %v %w", at, err)
	}
}

func (l *ageLaw) judge(at, failed time.Time, h http.Header) error {
	date, err := http.ParseTime(h.Get("Date"))
	if err != nil {
		return fmt.Errorf("an answer has no date: %w", err)
	}

	l.answers++
	age, most := at.Sub(date), l.ttl+l.swr
	if age > 0 {
		l.reused++
	}

	if strings.Contains(h.Get("Cache-Status"), staleIfError) {
		l.stale++
		l.oldestWhenStale = max(l.oldestWhenStale, age)
		if at.Sub(failed) > retryIn {
			return fmt.Errorf("an answer is marked %s, and the service last failed at %v", staleIfError, failed)
		}
		most += l.freshness.stale
	} else {
		l.oldest = max(l.oldest, age)
	}

	if age > most {
		return fmt.Errorf("an answer is %v old, and may be %v", age, most)
	}
	if said := h.Get("Age"); said != seconds(age) && (age != 0 || said != "") {
		return fmt.Errorf("an answer is %v old, and says %q", age, said)
	}
	return nil
}
