// SPDX-License-Identifier: MIT

package main

import (
	"fmt"
	"math"
	"time"
)

// A law judges the answers that clients get. It takes the word of the origin
// for their versions and dates, and knows nothing of caches.
type law struct {
	t     *traffic
	least []int           // by object: older versions were purged
	may   []time.Duration // by object: how old an answer may be
	most  []time.Duration // by behavior: the oldest answer that was given while the origin was up
	limit []time.Duration // what that might have been

	judged, purges int
	broken         int // answers older than a purge, if these are only counted
	count          bool
}

func newLaw(t *traffic) *law {
	l := &law{t: t, least: make([]int, len(t.objects)), most: make([]time.Duration, len(behaviors)), limit: make([]time.Duration, len(behaviors))}
	for i := range t.objects {
		l.may = append(l.may, oldest(&t.objects[i]))
	}
	return l
}

// purged takes in that a purge was acknowledged.
func (l *law) purged(c change, version []int) {
	switch c.purge {
	case byPath:
		l.least[c.key] = version[c.key]
		l.purges++
	case byTag:
		tags := l.t.objects[c.key].tags
		if len(tags) == 0 {
			return
		}
		for key := range l.t.objects {
			if other := l.t.objects[key].tags; len(other) > 0 && other[0] == tags[0] {
				l.least[key] = version[key]
			}
		}
		l.purges++
	}
}

// oldest returns how old an answer may be that clients get, as a person reads
// the table of behaviors.
func oldest(o *object) time.Duration {
	b := behaviors[behaviorOf(o.path)]
	var seconds int
	fresh := b.def
	if _, err := fmt.Sscanf(o.control, "max-age=%d", &seconds); err == nil {
		fresh = time.Duration(seconds) * time.Second
	} else if _, err := fmt.Sscanf(o.control, "public, max-age=%d", &seconds); err == nil {
		fresh = time.Duration(seconds) * time.Second
	}
	switch {
	case o.missing:
		return negative
	case fresh < b.min:
		fresh = b.min
	case fresh > b.max:
		fresh = b.max
	}
	return fresh + b.swr
}

// observe judges an answer that was given to a request that came at a time,
// when versions before least had been purged.
func (l *law) observe(at time.Time, key int, a *answer, out outcome, least int) error {
	l.judged++
	o := &l.t.objects[key]
	switch {
	case a.key != key:
		return fmt.Errorf("law broken: a request for %s got object %d", o.path, a.key)
	case a.version < least && l.count:
		l.broken++
		return nil
	case a.version < least:
		return fmt.Errorf("law broken: version %d of %s was given, and before %d all were purged", a.version, o.path, least)
	}

	age := at.Sub(a.date)
	most := l.may[key]
	if out == ifError {
		most += hopeful
	} else {
		i := behaviorOf(o.path)
		if age > l.most[i] {
			l.most[i], l.limit[i] = age, most
		}
	}
	if age > most {
		return fmt.Errorf("law broken: an answer of %s is %v old, and may be %v", o.path, age, most)
	}
	return nil
}

// slack is how much more than its share a node may get when it comes, besides
// the chance of keys: shares differ by 3 %.
const slack = 0.25

// checkMoved checks how many of the keys have another owner since a node has
// come, which is the last of n. Those that move go to the new one.
func checkMoved(keys, moved, elsewhere, n int) error {
	share := 1 / float64(n)
	chance := 5 * math.Sqrt(share*(1-share)*float64(keys))
	if most := (1+slack)*share*float64(keys) + chance; float64(moved) > most || elsewhere > 0 {
		return fmt.Errorf("law broken: %d of %d keys moved, %d of them to old nodes; want at most %.0f, and none", moved, keys, elsewhere, most)
	}
	return nil
}
