// SPDX-License-Identifier: MIT

package merkle

import (
	"encoding/binary"
	"fmt"
	"iter"
	"sync"
)

// An Index is the ordered set of the keys of a replica, each with the digest of
// its value, that finds the keys in which two replicas differ. One side calls
// [Index.Diff], the other answers with [Index.Respond]; what they exchange is
// in proportion to the differences, not to the sets. Use [NewIndex]; methods of
// a zero Index panic.
//
// It is safe for concurrent use by multiple goroutines, and must not be copied.
type Index struct {
	id    uint64 // says that the other side has the same secret
	frame int    // IndexOptions.MaxFrame

	mu    sync.RWMutex // protects items
	items items
}

// NewIndex returns an empty index. All replicas need the same secret, of at
// least 16 random bytes: an attacker that knows it can choose keys whose
// differences are not found. If opts is nil, the defaults are used. It panics
// if the secret is shorter or opts is not valid.
func NewIndex(secret []byte, opts *IndexOptions) *Index {
	if len(secret) < minSecret {
		panic(fmt.Sprintf("merkle: the secret must have at least %d bytes, got %d", minSecret, len(secret)))
	}
	if err := opts.Validate(); err != nil {
		panic(err)
	}
	w := SHA256.worker()
	defer w.release()
	x := &Index{frame: opts.resolve().MaxFrame}
	x.items.root = newLeaf()
	x.items.secret = w.long([]byte("ashlar merkle index\x00"), secret, nil)
	id := w.long([]byte("ashlar merkle peer\x00"), secret, nil)
	x.id = binary.LittleEndian.Uint64(id[:])
	return x
}

// minSecret is the number of bytes that a secret has at least.
const minSecret = 16

// mustUse panics if x is not from NewIndex.
func (x *Index) mustUse() {
	if x.frame == 0 {
		panic("merkle: zero Index: use NewIndex")
	}
}

// Set sets the digest of key. The complexity is O(log n) where n = x.Len().
func (x *Index) Set(key string, d Digest) {
	x.mustUse()
	w := SHA256.worker()
	defer w.release()
	x.mu.Lock()
	defer x.mu.Unlock()
	x.items.set(w, key, d)
	if invariants {
		x.checkLocked()
	}
}

// Delete removes key, and reports whether it was there. [Index.Diff] cannot
// tell a key that was deleted here from one that was added at the peer: a store
// that deletes keeps the key, with a digest that means deleted, until all
// replicas have that.
// The complexity is O(log n) where n = x.Len().
func (x *Index) Delete(key string) bool {
	x.mustUse()
	w := SHA256.worker()
	defer w.release()
	x.mu.Lock()
	defer x.mu.Unlock()
	ok := x.items.remove(w, key)
	if invariants {
		x.checkLocked()
	}
	return ok
}

// Get returns the digest of key; ok is false if it is not there.
func (x *Index) Get(key string) (d Digest, ok bool) {
	x.mustUse()
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.items.get(key)
}

// Len returns the number of keys.
func (x *Index) Len() int {
	x.mustUse()
	x.mu.RLock()
	defer x.mu.RUnlock()
	return int(x.items.total.count)
}

// All returns an iterator over the keys and their digests, in order of the
// keys. It is weakly consistent: a key that is set or deleted meanwhile may be
// returned or not.
func (x *Index) All() iter.Seq2[string, Digest] {
	x.mustUse()
	return func(yield func(string, Digest) bool) {
		for it := range x.between("", openEnd) {
			if !yield(it.key, it.digest) {
				return
			}
		}
	}
}

// between returns an iterator over the items of [lo, hi), which it copies some
// at a time: no lock is held while they are used.
func (x *Index) between(lo string, hi bound) iter.Seq[item] {
	return func(yield func(item) bool) {
		const batch = 256
		var list []item
		for {
			x.mu.RLock()
			list = x.items.appendItems(list[:0], lo, hi, batch)
			x.mu.RUnlock()

			for _, it := range list {
				if !yield(it) {
					return
				}
			}
			if len(list) < batch {
				return
			}
			lo = list[batch-1].key + "\x00" // the least key above it
		}
	}
}
