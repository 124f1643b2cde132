// SPDX-License-Identifier: MIT

package bloom

import "fmt"

// A Scalable is a filter that grows with the number of its keys and keeps its
// rate: the probability that it reports a key that was not added never exceeds
// p, whatever their number. Use [NewScalable]; methods of a zero Scalable that
// take a key panic. It is safe for any number of concurrent readers, and not
// while a goroutine adds. It must not be copied.
//
// It is a list of filters, each twice as large as the one before, whose rates
// add up to less than p whatever their number: p/4 for the first, p/9 for each
// of the next six, with which the set is 127 times as large, and for those that
// follow p/24, p/72, p/144 and so on, p/12 together. Rates that fall by half
// each time would be at p/128 by the seventh, for 5 bits a key more.
type Scalable struct {
	_      noCopy
	opts   Options
	p      float64
	layers []*Filter // from the oldest
	room   int       // keys that the last has room for
	size   int       // keys that the last was made for
}

const (
	growth          = 2
	minScalableRate = 1e-7 // the rates of the 48 filters that can come stay above minRate
)

// NewScalable returns an empty filter with room for n keys to begin with. One
// that is made for the number of keys that come, and never grows, costs 3 bits
// a key more than a Filter. If opts is nil, the defaults are used;
// Options.Foldable has no effect. It panics as [New] does, and unless n >= 1
// and p >= 1e-7.
func NewScalable(n int, p float64, opts *Options) *Scalable {
	if n < 1 {
		panic(fmt.Sprintf("bloom: n must be positive, got %d", n))
	}
	if !(p >= minScalableRate && p < 1) {
		panic(fmt.Sprintf("bloom: p must be between %g and 1, got %v", minScalableRate, p))
	}
	if err := opts.Validate(); err != nil {
		panic(err)
	}

	o := opts.resolve()
	o.Foldable = false
	return &Scalable{opts: o, p: p, size: n, room: n, layers: []*Filter{New(n, layerRate(p, 0), &o)}}
}

// Add adds key and reports whether key is definitely new.
func (s *Scalable) Add(key []byte) bool { return s.AddHash(Hash(key, s.opts.Seed)) }

// AddString is [Scalable.Add] of the bytes of key.
func (s *Scalable) AddString(key string) bool { return s.AddHash(HashString(key, s.opts.Seed)) }

// AddUint64 is [Scalable.Add] for numbers, which are keys of their own.
func (s *Scalable) AddUint64(v uint64) bool { return s.AddHash(HashUint64(v, s.opts.Seed)) }

// AddHash adds the key whose hash is h, see [Filter.AddHash] for what it must
// be. It takes time in proportion to the number of filters, and that of making
// one when the last is full.
func (s *Scalable) AddHash(h uint64) bool {
	s.mustUse()
	last := len(s.layers) - 1
	for _, f := range s.layers[:last] {
		if f.HasHash(h) {
			return false // it is reported from now on as before
		}
	}

	// A key that the last layer has needs no room, so it is not the one to grow
	// for.
	if s.room == 0 {
		if s.layers[last].HasHash(h) {
			return false
		}
		s.grow()
		last++
	}
	if !s.layers[last].AddHash(h) {
		return false
	}
	s.room-- // keys that change nothing take no room
	return true
}

// mustUse panics if s is the zero Scalable.
func (s *Scalable) mustUse() {
	if len(s.layers) == 0 {
		panic("bloom: zero Scalable: use NewScalable")
	}
}

// grow adds a layer.
func (s *Scalable) grow() {
	s.size = min(s.size, int(min(maxKeys, maxAddress)/growth)) * growth
	s.layers = append(s.layers, New(s.size, layerRate(s.p, len(s.layers)), &s.opts))
	s.room = s.size
}

// The rates of the layers. Those that hold most of the keys of a set that grew
// a hundredfold have one rate, which is not much below p.
const (
	evenLayers = 6
	firstPart  = 1.0 / 4
	evenPart   = 1.0 / 9 // of each even layer
	lastPart   = 1 - firstPart - evenLayers*evenPart
)

// layerRate returns the rate for which layer i, from 0, is made.
func layerRate(p float64, i int) float64 {
	j := float64(i - evenLayers) // from 1, of the layers that follow the even ones
	switch {
	case i == 0:
		return p * firstPart
	case j < 1:
		return p * evenPart
	}
	return p * lastPart / (j * (j + 1)) // whose sum is lastPart
}

// Has reports whether key may have been added. False is certain.
func (s *Scalable) Has(key []byte) bool { return s.HasHash(Hash(key, s.opts.Seed)) }

// HasString is [Scalable.Has] of the bytes of key.
func (s *Scalable) HasString(key string) bool { return s.HasHash(HashString(key, s.opts.Seed)) }

// HasUint64 reports whether v may have been added by AddUint64.
func (s *Scalable) HasUint64(v uint64) bool { return s.HasHash(HashUint64(v, s.opts.Seed)) }

// HasHash reports whether the key whose hash is h may have been added. The
// newest filter, which holds most keys, is asked first.
func (s *Scalable) HasHash(h uint64) bool {
	s.mustUse()
	for i := len(s.layers) - 1; i >= 0; i-- {
		if s.layers[i].HasHash(h) {
			return true
		}
	}
	return false
}

// Len returns an estimate of the number of different keys that were added, as
// [Filter.Len] does. A layer lacks the keys that older ones reported, wrongly
// or not; the estimate takes into account how many new keys that were.
func (s *Scalable) Len() int {
	s.mustUse()
	sum := 0.0
	absent := 1.0 // probability that no older layer reports a new key
	for _, f := range s.layers {
		c := f.census()
		sum += f.keys(len(f.lines), c.fill) / absent
		absent *= 1 - power(c.rate, f.perKey)
	}
	return toInt(sum)
}

// Rate returns the probability that a key that was never added is reported now,
// computed from the bits as [Filter.Rate] does.
func (s *Scalable) Rate() float64 {
	s.mustUse()
	absent := 1.0
	for _, f := range s.layers {
		absent *= 1 - f.Rate()
	}
	return 1 - absent
}

// Bits returns the size of all filters together in bits, a multiple of 512.
func (s *Scalable) Bits() (n uint64) {
	s.mustUse()
	for _, f := range s.layers {
		n += f.Bits()
	}
	return n
}
