// SPDX-License-Identifier: MIT

package merkle

import "slices"

// The set is compared range by range: a range whose fingerprints differ is
// split in fanout parts of about equal size, or listed if it has at most
// listKeys items.
const (
	fanout   = 16
	listKeys = 32

	// markedKeys is the most items that are compared with marks, of which there
	// are listKeys at most: with more items a list is as short.
	markedKeys = 2 * listKeys
)

// Respond answers a message of [Index.Diff] of a peer. It keeps nothing from
// one message to the next. Any bytes may come: if they are no message, it
// returns an error that wraps [ErrCorrupt] or [ErrVersion], and if they are
// from a peer with another secret, [ErrMismatch]. The answer has at most
// IndexOptions.MaxFrame bytes, unless 16 keys alone have more, and a byte for
// each range that msg asks about.
func (x *Index) Respond(msg []byte) ([]byte, error) {
	x.mustUse()
	asks, err := x.asks(msg)
	if err != nil {
		return nil, err
	}

	// Each answer leaves room for a refusal of all that follow. The first one
	// is given in any case, so that there is progress.
	w := SHA256.worker()
	defer w.release()
	out := writer{b: appendHead(nil, kindAnswer, x.id)}
	for i := range asks {
		start := len(out.b)
		room := x.frame - sumBytes - (len(asks) - 1 - i)
		if i == 0 || start+1 < room {
			x.answer(w, &out, &asks[i], room, i == 0)
		}
		if len(out.b) == start {
			out.piece(modeAgain, openEnd)
		}
	}
	return appendSum(out.b, 0), nil
}

// asks returns the ranges that msg asks about.
func (x *Index) asks(msg []byte) ([]piece, error) {
	body, err := splitMessage(msg, kindAsk, x.id)
	if err != nil {
		return nil, err
	}
	return parseAsks(body)
}

// answer appends the answer to a. Unless it must, it appends nothing if the
// message would become longer than room.
func (x *Index) answer(w *worker, out *writer, a *piece, room int, must bool) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	from, part := x.items.within(w, a.lo, a.hi)
	if a.mode == modePrint && part.fingerprint(w) == a.print {
		out.piece(modeSkip, openEnd)
		return
	}

	// Few items: what differs from the marks, or all of them.
	if a.mode == modeMarks && part.count <= markedKeys && x.deltaLocked(w, out, a, room) {
		return
	}
	if a.mode != modePrint || part.count <= listKeys {
		x.listLocked(out, a, part.count, room, must)
		return
	}

	// Many items: the fingerprints of the parts.
	start := *out
	for _, p := range x.partsLocked(w, a.lo, a.hi, from, part) {
		hi := p.hi
		if hi == a.hi {
			hi = openEnd
		}
		out.print(hi, p.print)
	}
	if len(out.b) > room && !must {
		*out = start
	}
}

// deltaLocked appends the answer to the marks of a, and reports whether it did:
// not if the message would become longer than room, or if a mark is that of two
// items.
func (x *Index) deltaLocked(w *worker, out *writer, a *piece, room int) bool {
	// Find the items of no mark, and the marks of no item.
	var found [listKeys]bool
	var others []item
	for _, it := range x.items.appendItems(nil, a.lo, a.hi, markedKeys) {
		i := slices.Index(a.marks, x.items.mark(w, &it))
		switch {
		case i < 0:
			others = append(others, it)
		case found[i]:
			return false
		default:
			found[i] = true
		}
	}
	var gone []int
	for i := range a.marks {
		if !found[i] {
			gone = append(gone, i)
		}
	}

	start := *out
	out.delta(gone, others)
	if len(out.b) > room {
		*out = start
		return false
	}
	return true
}

// listLocked appends a list of the count items of a, or of as many as have
// room, and of one at least if it must.
func (x *Index) listLocked(out *writer, a *piece, count uint64, room int, must bool) {
	const overhead = 32 // of two pieces without keys
	most := uint64(max(room, 0)/len(Digest{}) + 2)
	list := x.items.appendItems(nil, a.lo, a.hi, int(min(count, most)))

	// Count the items that have room, each with the bound that follows it if it
	// is the last one.
	n := 0
	size := len(out.b) + overhead
	for n < len(list) {
		size += itemBytes(list[n])
		next := 0 // bytes of the bound
		if n+1 < len(list) {
			next = len(list[n+1].key)
		}
		if size+next > room && !(must && n == 0) {
			break
		}
		n++
	}
	if n == len(list) && uint64(n) == count {
		out.list(openEnd, list)
		return
	}

	// The peer asks again for the rest.
	if n > 0 {
		out.list(bound{key: list[n].key}, list[:n])
		out.piece(modeAgain, openEnd)
	}
}

// partsLocked divides [lo, hi) into pieces of about equal size, with their
// fingerprints. part is the tally of its items, more than fanout, and from that
// of the items before it.
func (x *Index) partsLocked(w *worker, lo string, hi bound, from, part tally) []piece {
	list := make([]piece, 0, fanout)
	end := from
	end.add(&part)

	// Part i ends at rank count·(i+1)/fanout of the items, between two keys.
	for i := range uint64(fanout) {
		p := piece{mode: modePrint, lo: lo, hi: hi}
		next := end
		if i+1 < fanout {
			p.hi = bound{key: x.items.separator(end.count - part.count + part.count*(i+1)/fanout)}
			next = x.items.before(w, p.hi)
		}
		sum := next
		sum.sub(&from)
		p.print = sum.fingerprint(w)
		list = append(list, p)
		lo = p.hi.key
		from = next
	}
	return list
}
