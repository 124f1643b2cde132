// SPDX-License-Identifier: MIT

package bloom

import (
	"fmt"
	"time"
)

// A window is G filters of the same shape and size, the generations. Keys are
// added to the current one. When its time is over, or it has its share of the
// keys, the oldest becomes the current. The lines with one number stand
// together, so that a question about all generations reads memory that is
// adjacent:
//
//	line 0: generation 0, 1 … G-1 │ line 1: generation 0, 1 … G-1 │ …
//
// Clearing a generation would take long, so each line carries the number of the
// turn in which it was last written. Turns are counted from G; turn t writes to
// generation t mod G. A line whose stamp is not the turn that its generation
// has now is as good as empty: Has ignores it, and Add clears it first. Turns
// are numbered with 32 bits: a line that was not written for exactly 2^32 turns
// would come back, and answer maybe.
//
// Invariants:
//
//	W1 now >= G, and the keys of turns now-G+1 to now are present.
//	W2 a line holds keys of one turn only, the one that stamps has.

// A Window is a filter that forgets: it holds the keys of a span of time, or
// the last n of them, for finding duplicates in a stream. Use [NewWindow];
// methods of a zero Window that take a key panic. It is not safe for concurrent
// use, except that Has and its kin may run concurrently with each other, if
// WindowOptions.Now may. It must not be copied.
type Window struct {
	_ noCopy
	shape
	lines  []line   // len(stamps)
	stamps []uint32 // the turn in which a line was written
	gens   int
	turn   uint64 // the last known; see at

	step  time.Duration // of a turn; 0 in a window of keys
	clock clock         // its base is when turn 'gens' began, in a window of time
	shift uint64        // turns that the clock does not count: by Rotate, and before the window was stored

	share int // keys that each turn has room for, in a window of keys
	room  int // keys that this turn has room for
}

// NewWindow returns an empty window. If opts is nil, the defaults are used; G
// is WindowOptions.Generations.
//
// If window is positive, a key is remembered for at least window since it was
// last added, and at most window·G/(G-1). The rate is at most p if no more than
// n/(G-1) different keys come in any turn of window/(G-1): n keys in a window,
// evenly. If they come in bursts, let n be G-1 times the largest burst.
//
// If window is zero, the last n keys that were new to the current turn are
// remembered, at least, and at most n·G/(G-1), rounded up to multiples of G-1;
// the rate is at most p in any case.
//
// It panics as [New] does, if window is negative, and unless p >= G·1e-12.
func NewWindow(n int, p float64, window time.Duration, opts *WindowOptions) *Window {
	if err := opts.Validate(); err != nil {
		panic(err)
	}
	if window < 0 {
		panic(fmt.Sprintf("bloom: window must not be negative, got %v", window))
	}
	if err := validateSize(n, p); err != nil {
		panic(err)
	}

	// Each generation errs at its share of p, which must be a rate that can be.
	o := opts.resolve()
	if least := float64(o.Generations) * minRate; p < least {
		panic(fmt.Sprintf("bloom: p must be at least %g for %d generations, got %v", least, o.Generations, p))
	}

	// A turn holds its share of the keys, and errs at its share of the rate.
	parts := o.Generations - 1
	share := max(n/parts+min(n%parts, 1), 1)
	rate := max(p/float64(o.Generations), minRate)
	s, count := mustPlan(bitCurves[:], share, rate, &Options{Seed: o.Seed, Lines: o.Lines})
	total := count * uint64(o.Generations)
	if total > maxAddress/lineBytes {
		panic(fmt.Sprintf("bloom: n is too large for this machine, got %d", n))
	}

	w := &Window{
		shape: s, lines: make([]line, total), stamps: make([]uint32, total), gens: o.Generations,
		turn: uint64(o.Generations), clock: newClock(o.Now), room: share, share: share,
	}
	if window > 0 {
		w.step = window/time.Duration(parts) + min(window%time.Duration(parts), 1)
	}
	return w
}

// at returns the turn by the clock, which the window may not have begun yet.
func (w *Window) at() uint64 {
	w.mustUse()
	if w.step == 0 {
		return w.turn
	}
	turn := w.shift + uint64(w.gens)
	if d := w.clock.read(); d > 0 {
		turn += uint64(d / int64(w.step))
	}
	return max(turn, w.turn) // the clock may have gone back
}

// mustUse panics if w is the zero Window.
func (w *Window) mustUse() {
	if w.gens == 0 {
		panic("bloom: zero Window: use NewWindow")
	}
}

// slot returns the number of the line of h in the generation of the given turn.
func (w *Window) slot(h, turn uint64) int {
	return int(index(h, uint64(len(w.lines)/w.gens)))*w.gens + int(turn%uint64(w.gens))
}

// Add adds key to the current turn and reports whether key is definitely not
// there: it was forgotten, or never came.
func (w *Window) Add(key []byte) bool { return w.AddHash(Hash(key, w.seed)) }

// AddString is [Window.Add] of the bytes of key.
func (w *Window) AddString(key string) bool { return w.AddHash(HashString(key, w.seed)) }

// AddUint64 is [Window.Add] for numbers, which are keys of their own.
func (w *Window) AddUint64(v uint64) bool { return w.AddHash(HashUint64(v, w.seed)) }

// AddHash adds the key whose hash is h, see [Filter.AddHash] for what it must
// be.
func (w *Window) AddHash(h uint64) bool { return !w.seen(h) }

// Seen reports whether key may have come within the window, and adds it: false
// is certain. It is Has and then Add, with one reading of the clock. A key that
// comes again is remembered from then on.
func (w *Window) Seen(key []byte) bool { return w.seen(Hash(key, w.seed)) }

// SeenString is [Window.Seen] of the bytes of key.
func (w *Window) SeenString(key string) bool { return w.seen(HashString(key, w.seed)) }

// SeenUint64 is [Window.Seen] for numbers, which are keys of their own.
func (w *Window) SeenUint64(v uint64) bool { return w.seen(HashUint64(v, w.seed)) }

// SeenHash is [Window.Seen] for the key whose hash is h.
func (w *Window) SeenHash(h uint64) bool { return w.seen(h) }

func (w *Window) seen(h uint64) bool {
	w.turn = w.at()
	there := w.has(h, w.turn)

	// A turn of keys that is full ends before a key that is new to it.
	if w.step == 0 && w.room == 0 && !w.inTurn(h, w.turn) {
		w.turn++
		w.room = w.share
	}

	// Keys that change nothing take no room.
	if w.addTurn(h) {
		w.room = max(w.room-1, 0)
	}
	if invariants && !w.inTurn(h, w.turn) {
		panic("bloom: W1 violated: a key that was added is absent")
	}
	return there
}

// addTurn adds h to the current turn and reports whether it changed anything.
func (w *Window) addTurn(h uint64) (added bool) {
	for range w.perKey {
		i := w.slot(h, w.turn)
		if w.stamps[i] != uint32(w.turn) {
			w.stamps[i] = uint32(w.turn)
			w.lines[i] = line{}
		}
		added = w.lines[i].add(h, w.perLane) || added
		h = mix64(h)
	}
	return added
}

// Has reports whether key may have been added within the window. False is
// certain. It changes nothing.
func (w *Window) Has(key []byte) bool { return w.HasHash(Hash(key, w.seed)) }

// HasString is [Window.Has] of the bytes of key.
func (w *Window) HasString(key string) bool { return w.HasHash(HashString(key, w.seed)) }

// HasUint64 reports whether v may have been added by AddUint64 within the
// window.
func (w *Window) HasUint64(v uint64) bool { return w.HasHash(HashUint64(v, w.seed)) }

// HasHash reports whether the key whose hash is h may have been added within
// the window.
func (w *Window) HasHash(h uint64) bool { return w.has(h, w.at()) }

// has reports whether h is in a generation that counts in turn now, the newest
// first.
func (w *Window) has(h uint64, now uint64) bool {
	for age := range uint64(w.gens) {
		if w.inTurn(h, now-age) {
			return true
		}
	}
	return false
}

// inTurn reports whether h is in the generation of the given turn.
func (w *Window) inTurn(h uint64, turn uint64) bool {
	for range w.perKey {
		i := w.slot(h, turn)
		if w.stamps[i] != uint32(turn) || !w.lines[i].has(h, w.perLane) {
			return false
		}
		h = mix64(h)
	}
	return true
}

// Rotate ends the turn now. The keys of the oldest generation are forgotten at
// once, and those of the others sooner than [NewWindow] promises, by up to a
// turn. G calls of it forget all keys.
func (w *Window) Rotate() {
	w.turn = w.at() + 1
	w.shift++
	w.room = w.share
}

// Rate returns the probability that a key that was never added is reported now,
// computed from the bits as [Filter.Rate] does.
func (w *Window) Rate() float64 {
	now := w.at()
	absent := 1.0
	for age := range uint64(w.gens) {
		// A line whose stamp is of another turn is empty.
		turn := now - age
		first := w.slot(0, turn)
		c := takeCensus(len(w.lines)/w.gens, w.perLane, wordBits, func(i int) line {
			if i = i*w.gens + first; w.stamps[i] == uint32(turn) {
				return w.lines[i]
			}
			return line{}
		})

		// The window errs if any generation does.
		absent *= 1 - power(c.rate, w.perKey)
	}
	return 1 - absent
}

// Bits returns the size of all generations together in bits, a multiple of 512.
// The numbers of the turns take 1/16 of it on top.
func (w *Window) Bits() uint64 { return uint64(len(w.lines)) * lineBits }
