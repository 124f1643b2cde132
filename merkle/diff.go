// SPDX-License-Identifier: MIT

package merkle

import (
	"context"
	"fmt"
	"iter"
	"slices"
)

// A Peer carries messages to another replica, whose [Index.Respond] answers
// them.
type Peer interface {
	// Exchange returns the answer of the other replica to msg. It should bound
	// what it reads by the MaxFrame of a peer that is not trusted: an answer
	// takes memory in proportion to its bytes.
	Exchange(ctx context.Context, msg []byte) ([]byte, error)
}

// A Delta is a key in which two replicas differ.
type Delta struct {
	// Key is the key.
	Key string
	// Local and Remote are the digests of the key here and at the peer; zero
	// where it is not.
	Local, Remote Digest
	// HasLocal and HasRemote say where the key is.
	HasLocal, HasRemote bool
}

// Limits of an exchange with a peer that does not answer as [Index.Respond]
// does. A set that the peer divides so often has more keys than memory.
const (
	maxDepth = 64
	maxVain  = 64 // exchanges, one after the other, that settle no key
)

// Diff returns an iterator over the keys in which x and the replica behind p
// differ, in no particular order. It exchanges messages with p until all are
// found. The error, if there is one, comes last, with a zero Delta: that of p
// or of ctx; one that wraps [ErrCorrupt] or [ErrVersion] if an answer is not
// one; [ErrMismatch] if it is from a peer with another secret; [ErrPeer] if
// answers do not come to an end.
//
// If neither side changes meanwhile, it yields exactly the keys in which they
// differ. A key that is set or deleted meanwhile may be yielded or not; others
// are not affected. No lock is held while p or the loop runs.
//
// A peer can lie about its own keys, and about nothing else. A loop that must
// not trust it bounds the number of keys that it takes.
func (x *Index) Diff(ctx context.Context, p Peer) iter.Seq2[Delta, error] {
	x.mustUse()

	// The first ask is about all keys: if the sets are equal, it is the last.
	return func(yield func(Delta, error) bool) {
		d := x.differ(yield)
		all := piece{hi: openEnd}
		d.todo = []ask{{hi: all.hi, print: x.prints([]piece{all})[0]}}
		for len(d.todo) > 0 && !d.stopped {
			if err := d.exchange(ctx, p); err != nil {
				if !d.stopped {
					yield(Delta{}, err)
				}
				return
			}
		}
	}
}

// An ask is a range that may hold differences.
type ask struct {
	lo      string
	hi      bound
	depth   int         // how often the range was divided
	differs bool        // the fingerprints did; else print is to be compared
	print   fingerprint // here; or of the peer, if it differs
	whole   bool        // the peer is to list all, since marks were not enough
	have    []item      // whose marks the peer was sent
}

// A differ is the state of a Diff.
type differ struct {
	x       *Index
	yield   func(Delta, error) bool
	stopped bool  // the loop has ended
	todo    []ask // a stack: the least keys are last
	window  int   // asks of the next message
	vain    int   // exchanges since one that settled a key
}

// differ returns the state of a Diff that begins. A part of a range takes about
// 32 bytes of an answer, so the answer to a full window of divisions has room
// in a frame.
func (x *Index) differ(yield func(Delta, error) bool) *differ {
	return &differ{x: x, yield: yield, window: min(x.frame/(fanout*32), maxAsks)}
}

// exchange sends the asks from the top of the stack, and takes the answers.
func (d *differ) exchange(ctx context.Context, p Peer) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if d.vain++; d.vain > maxVain {
		return fmt.Errorf("%w: %d exchanges settled no key", ErrPeer, maxVain)
	}
	msg, asks := d.message()
	reply, err := p.Exchange(ctx, msg)
	if err != nil {
		return fmt.Errorf("merkle: exchange: %w", err)
	}
	body, err := splitMessage(reply, kindAnswer, d.x.id)
	if err != nil {
		return err
	}
	answers, err := parseAnswer(body, asks)
	if err != nil {
		return err
	}

	// Open ends of the answers go back on the stack, the last keys first.
	refused := 0
	for i, pieces := range slices.Backward(answers) {
		if len(pieces) == 1 && pieces[0].mode == modeAgain {
			refused++
		}
		own := d.x.prints(pieces)
		for j, piece := range slices.Backward(pieces) {
			if err := d.take(asks[i], piece, own[j]); err != nil || d.stopped {
				return err
			}
		}
	}
	if refused == len(asks) {
		return fmt.Errorf("%w: it answers nothing", ErrPeer)
	}
	d.adapt(len(asks), refused)
	return nil
}

// adapt sets the window after an exchange of so many asks. The peer had no room
// for those that it refused.
func (d *differ) adapt(asked, refused int) {
	switch {
	case refused > 0:
		d.window = asked - refused
	case d.vain == 0:
		d.window = min(2*d.window, maxAsks)
	case d.vain > maxVain/8:
		d.window = max(d.window/2, 1) // the peer settles nothing: give it less to do
	}
}

// message takes asks from the stack, as many as have room, and returns their
// message.
func (d *differ) message() (msg []byte, asks []ask) {
	w := SHA256.worker()
	defer w.release()
	x := d.x
	out := writer{b: appendHead(nil, kindAsk, x.id)}
	at := ""
	for len(d.todo) > 0 && len(asks) < d.window {
		a := d.todo[len(d.todo)-1]
		if len(asks) > 0 && len(out.b)+len(a.lo)+len(a.hi.key)+askBytes > x.frame {
			break
		}
		d.todo = d.todo[:len(d.todo)-1]
		if a.differs && d.divide(w, a) {
			continue
		}

		// What lies between two asks is skipped.
		if a.differs && !a.whole {
			a.have = d.have(a)
		}
		asks = append(asks, a)
		if a.lo != at {
			out.piece(modeSkip, bound{key: a.lo})
		}
		at = a.hi.key
		switch {
		case len(a.have) > 0:
			out.marks(a.hi, d.marks(w, a.have))
		case a.differs:
			out.piece(modeWant, a.hi)
		default:
			out.print(a.hi, a.print)
		}
	}
	return appendSum(out.b, 0), asks
}

// askBytes bounds the bytes of an ask beside its keys.
const askBytes = 64 + listKeys*len(mark{})

// have returns the items of x in the range of a, or none if there are too many
// for marks.
func (d *differ) have(a ask) []item {
	d.x.mu.RLock()
	defer d.x.mu.RUnlock()
	list := d.x.items.appendItems(nil, a.lo, a.hi, listKeys+1)
	if len(list) > listKeys {
		return nil // keys were added since divide counted
	}
	return list
}

// marks returns the marks of a list.
func (d *differ) marks(w *worker, list []item) []mark {
	out := make([]mark, len(list))
	for i := range list {
		out[i] = d.x.items.mark(w, &list[i])
	}
	return out
}

// divide pushes the parts of a, and reports whether there are any: a range with
// few keys here is not divided, since the peer can list what differs.
func (d *differ) divide(w *worker, a ask) bool {
	x := d.x
	x.mu.RLock()
	defer x.mu.RUnlock()
	from, part := x.items.within(w, a.lo, a.hi)
	if part.count <= listKeys {
		return false
	}
	for _, p := range slices.Backward(x.partsLocked(w, a.lo, a.hi, from, part)) {
		d.todo = append(d.todo, ask{lo: p.lo, hi: p.hi, depth: a.depth, print: p.print})
	}
	return true
}

// prints returns the fingerprints of x in the ranges of pieces, each of which
// begins where the one before it ends.
func (x *Index) prints(pieces []piece) []fingerprint {
	w := SHA256.worker()
	defer w.release()
	x.mu.RLock()
	defer x.mu.RUnlock()
	list := make([]fingerprint, 0, fanout)
	from := x.items.before(w, bound{key: pieces[0].lo})
	for _, p := range pieces {
		next := x.items.before(w, p.hi)
		part := next
		part.sub(&from)
		list = append(list, part.fingerprint(w))
		from = next
	}
	return list
}

// take takes a piece of the answer to a. In its range x has the fingerprint
// own.
func (d *differ) take(a ask, p piece, own fingerprint) error {
	switch p.mode {
	case modeList:
		d.compare(p)
	case modeDelta:
		return d.restore(a, p)
	case modeAgain:
		if !a.differs {
			a.print = own
		}
		a.whole = a.whole || p.lo != a.lo || p.hi != a.hi // a.print is not that of a part

		// The rest of the range is asked about again.
		a.have = nil
		a.lo = p.lo
		a.hi = p.hi
		d.todo = append(d.todo, a)
	case modePrint:
		if a.depth++; a.depth > maxDepth {
			return fmt.Errorf("%w: it divides a range %d times", ErrPeer, maxDepth)
		}
		if own != p.print {
			d.todo = append(d.todo, ask{lo: p.lo, hi: p.hi, depth: a.depth, differs: true, print: p.print})
		}
	}
	return nil
}

// restore makes the list of the peer from the items whose marks were sent and
// the answer to them, and compares it. If two items had one mark, or the peer
// has changed since, the list has another fingerprint, and the peer has to list
// all.
func (d *differ) restore(a ask, p piece) error {
	// Merge the items of p with those that the peer has of a.have.
	var list []item
	gone := p.gone
	for i, it := range a.have {
		if len(gone) > 0 && gone[0] == i {
			gone = gone[1:]
			continue
		}
		for len(p.items) > 0 && p.items[0].key < it.key {
			list = append(list, p.items[0])
			p.items = p.items[1:]
		}
		if len(p.items) > 0 && p.items[0].key == it.key {
			return fmt.Errorf("%w: answer with a key twice", ErrCorrupt)
		}
		list = append(list, it)
	}
	p.items = append(list, p.items...)

	// The list is that of the peer if it has the fingerprint of the peer.
	if d.fingerprint(p.items) != a.print {
		a.whole = true
		a.have = nil
		d.todo = append(d.todo, a)
		return nil
	}
	d.compare(p)
	return nil
}

// fingerprint returns the fingerprint of a list of items.
func (d *differ) fingerprint(list []item) fingerprint {
	w := SHA256.worker()
	defer w.release()
	var sum tally
	for _, it := range list {
		t := d.x.items.weigh(w, it.key, it.digest)
		sum.add(&t)
	}
	return sum.fingerprint(w)
}

// compare yields the differences between a list of all keys that the peer has
// in a range and those of x.
func (d *differ) compare(p piece) {
	remote := p.items

	// Both are in order: a key that is passed on one side is not on the other.
	for it := range d.x.between(p.lo, p.hi) {
		d.vain = 0 // also if it does not differ: it is not asked about again
		for len(remote) > 0 && remote[0].key < it.key && !d.stopped {
			d.found(Delta{Key: remote[0].key, Remote: remote[0].digest, HasRemote: true})
			remote = remote[1:]
		}
		delta := Delta{Key: it.key, Local: it.digest, HasLocal: true}
		if len(remote) > 0 && remote[0].key == it.key {
			delta.Remote = remote[0].digest
			delta.HasRemote = true
			remote = remote[1:]
		}
		if !delta.HasRemote || delta.Local != delta.Remote {
			d.found(delta)
		}
		if d.stopped {
			return
		}
	}

	for _, it := range remote {
		d.found(Delta{Key: it.key, Remote: it.digest, HasRemote: true})
	}
}

// found yields a difference, unless the loop has ended.
func (d *differ) found(delta Delta) {
	if !d.stopped {
		d.vain = 0
		d.stopped = !d.yield(delta, nil)
	}
}
