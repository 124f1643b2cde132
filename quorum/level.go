// SPDX-License-Identifier: MIT

package quorum

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
)

// A Level says how many replicas have to answer. A positive Level is a number
// of replicas, whichever they are.
type Level int

// Levels. LocalQuorum and EachQuorum need Options.Zones.
const (
	Quorum      Level = 0  // a majority of all
	One         Level = 1  // the first that answers
	Two         Level = 2  // any two
	Three       Level = 3  // any three
	All         Level = -1 // each of them
	LocalQuorum Level = -2 // a majority of those in Options.Zone
	EachQuorum  Level = -3 // a majority in each zone
)

var levelNames = map[Level]string{
	Quorum: "quorum", One: "one", Two: "two", Three: "three",
	All: "all", LocalQuorum: "local quorum", EachQuorum: "each quorum",
}

// String returns the name of l in lower case, or the number of replicas.
func (l Level) String() string {
	if name, ok := levelNames[l]; ok {
		return name
	}
	return strconv.Itoa(int(l))
}

// MarshalText returns the name of l, or the number of replicas.
func (l Level) MarshalText() ([]byte, error) {
	if !l.valid() {
		return nil, fmt.Errorf("quorum: unknown level %d", int(l))
	}
	return []byte(l.String()), nil
}

// UnmarshalText sets l to the level that text names.
func (l *Level) UnmarshalText(text []byte) error {
	for level, name := range levelNames {
		if name == string(text) {
			*l = level
			return nil
		}
	}

	n, err := strconv.Atoi(string(text))
	if err != nil || n < 1 || !Level(n).valid() {
		return fmt.Errorf("quorum: unknown level %q", text)
	}
	*l = Level(n)
	return nil
}

// valid reports whether l is a level of some cluster.
func (l Level) valid() bool { return l >= EachQuorum && l <= maxReplicas }

// A Call is a setting of one call, made by [At] or [Atomic].
type Call struct {
	level  Level
	at     bool // level is set
	atomic bool
}

// At makes a call use level l instead of the one of Options. A read must still
// meet each write of Options.Write, and a write must satisfy Options.Write,
// unless Options.AllowStale is set.
func At(l Level) Call { return Call{level: l, at: true} }

// Atomic makes a call one of a linearizable register. A read then ends when
// its result is held by a write quorum, and a write of a [KV] first reads the
// stamps that it has to surpass. It holds if each write of the key is Atomic.
func Atomic() Call { return Call{atomic: true} }

// combine returns the settings of calls, the last of a kind winning.
func combine(calls []Call) (c Call) {
	for _, o := range calls {
		if o.at {
			c.level = o.level
			c.at = true
		}
		c.atomic = c.atomic || o.atomic
	}
	return c
}

// A topology is the replicas of a cluster as levels see them.
type topology struct {
	all   Set
	near  Set      // those in Options.Zone; all of them without zones
	zones []string // of each replica; nil if there are none
}

// system returns the system that l means in t.
func (t *topology) system(l Level) (System, error) {
	n := t.all.Len()
	switch {
	case !l.valid():
		return System{}, fmt.Errorf("%w: unknown level %d", ErrLevel, int(l))
	case int(l) > n:
		return System{}, fmt.Errorf("%w: %v of %d replicas", ErrLevel, l, n)
	case l <= LocalQuorum && t.zones == nil:
		return System{}, fmt.Errorf("%w: %v without Options.Zones", ErrLevel, l)
	}

	switch l {
	case Quorum:
		return Majority(t.all), nil
	case All:
		return Threshold(n, t.all), nil
	case LocalQuorum:
		return Majority(t.near), nil
	case EachQuorum:
		return t.each(), nil
	default:
		return Threshold(int(l), t.all), nil
	}
}

// each returns the system of majorities of all zones.
func (t *topology) each() System {
	members := map[string]Set{}
	for i, z := range t.zones {
		members[z] |= 1 << i
	}

	var subs []System
	for _, z := range slices.Sorted(maps.Keys(members)) {
		subs = append(subs, Majority(members[z]))
	}
	return Of(len(subs), subs...)
}

// A plan is what a level means for the calls of a cluster.
type plan struct {
	system  System
	err     error // the level cannot be used at all
	mayMiss error // a read at this level could miss a write of Options.Write
	tooWeak error // a write at this level does not satisfy Options.Write
}

// planOf returns what system means beside the writes of write. A read has to
// meet each write. A write has to be one of write's quorums too, since reads
// are only known to meet those: its quorums meet all of write's dual.
func planOf(name string, system, write System) *plan {
	p := &plan{system: system}
	if !Intersect(system, write) {
		p.mayMiss = fmt.Errorf("%w: reads at %s, %v, can miss writes at %v", ErrLevel, name, system, write)
	}
	if !Intersect(system, write.Dual()) {
		p.tooWeak = fmt.Errorf("%w: writes at %s, %v, may be less than %v", ErrLevel, name, system, write)
	}
	return p
}
