// SPDX-License-Identifier: MIT

package merkle

import (
	"bytes"
	"crypto/sha256"
	"encoding"
	"encoding/binary"
	"fmt"
	"hash"
	"sync"
)

// The first byte of what is hashed for a tree says what follows: a leaf never
// has the hash of a node.
const (
	leafPrefix = 0x00
	nodePrefix = 0x01
)

// A Hasher is the hash function of a tree. A nil *Hasher is [SHA256], wherever
// the package takes one. It is safe for concurrent use by multiple goroutines
// and must not be copied.
type Hasher struct {
	newHash func() hash.Hash // nil: SHA-256
	workers sync.Pool        // of *worker
}

// SHA256 is the hash function of RFC 6962 and RFC 9162, and the default.
var SHA256 = new(Hasher)

// NewHasher returns a Hasher over the hashes that newHash returns. They must
// have 32 bytes and resist collisions, such as those of [crypto/sha3.New256].
// Leaves and nodes have the prefixes of RFC 6962, whatever the hash. It panics
// if the hash has another size.
func NewHasher(newHash func() hash.Hash) *Hasher {
	if n := newHash().Size(); n != len(Hash{}) {
		panic(fmt.Sprintf("merkle: the hash must have %d bytes, got %d", len(Hash{}), n))
	}
	return &Hasher{newHash: newHash}
}

// Leaf returns the hash of the leaf that holds data.
func (h *Hasher) Leaf(data []byte) Hash {
	w := h.worker()
	defer w.release()
	return w.leaf(data)
}

// Node returns the hash of the node whose children are left and right.
func (h *Hasher) Node(left, right Hash) Hash {
	w := h.worker()
	defer w.release()
	return w.node(&left, &right)
}

// Empty returns the root of the tree without leaves, the hash of no bytes.
func (h *Hasher) Empty() Hash {
	w := h.worker()
	defer w.release()
	return w.sum(0)
}

// worker returns a worker that is free. The caller releases it.
func (h *Hasher) worker() *worker {
	if h == nil {
		h = SHA256
	}
	if w, ok := h.workers.Get().(*worker); ok {
		return w
	}

	// None is free: make one, and read its state if it is that of SHA-256.
	w := &worker{home: h}
	if h.newHash != nil {
		w.digest = h.newHash()
		return w
	}
	w.digest = sha256.New()
	if stateReadable() {
		w.state, _ = w.digest.(encoding.BinaryAppender)
	}
	return w
}

// A worker hashes for one goroutine, and allocates nothing.
type worker struct {
	home   *Hasher
	digest hash.Hash
	state  encoding.BinaryAppender // digest, if its state can be read; else nil
	buf    [2 * sha256.BlockSize]byte
	out    [128]byte // a hash, or the state of digest
}

// release makes w free for others.
func (w *worker) release() { w.home.workers.Put(w) }

// maxPadded is the longest message that fits into buf with its padding: a byte
// of 0x80, and the length in 8 bytes.
const maxPadded = 2*sha256.BlockSize - 9

// leaf returns the hash of a leaf.
func (w *worker) leaf(data []byte) Hash {
	w.buf[0] = leafPrefix
	if len(data) < maxPadded {
		return w.sum(1 + copy(w.buf[1:], data))
	}
	return w.long(w.buf[:1], data, nil)
}

// long returns the hash of a message in three parts.
func (w *worker) long(a, b, c []byte) Hash {
	w.digest.Reset()
	_, _ = w.digest.Write(a) // a hash never fails
	_, _ = w.digest.Write(b)
	_, _ = w.digest.Write(c)
	return Hash(w.digest.Sum(w.out[:0]))
}

// node returns the hash of a node.
func (w *worker) node(left, right *Hash) Hash {
	w.buf[0] = nodePrefix
	copy(w.buf[1:], left[:])
	copy(w.buf[1+len(left):], right[:])
	return w.sum(1 + len(left) + len(right))
}

// nodes sets each of dst to the hash of the node whose children are the next
// two of src. A kernel that hashes several nodes at a time belongs here.
func (w *worker) nodes(dst, src []Hash) {
	for i := range dst {
		dst[i] = w.node(&src[2*i], &src[2*i+1])
	}
}

// sum returns the hash of the first n bytes of buf, at most maxPadded.
func (w *worker) sum(n int) Hash {
	w.digest.Reset()
	if w.state == nil {
		_, _ = w.digest.Write(w.buf[:n])
		return Hash(w.digest.Sum(w.out[:0]))
	}

	// Pad the message here: after whole blocks the state of the digest is the
	// hash. Sum would copy the digest and pad in several writes, which takes a
	// third of the time of a node.
	end := sha256.BlockSize
	if n > sha256.BlockSize-9 {
		end = 2 * sha256.BlockSize
	}
	w.buf[n] = 0x80
	clear(w.buf[n+1 : end-8])
	binary.BigEndian.PutUint64(w.buf[end-8:], uint64(n)*8)
	_, _ = w.digest.Write(w.buf[:end])

	// The state is stored as 4 bytes of magic, and the 8 words of the hash.
	b, _ := w.state.AppendBinary(w.out[:0])
	return Hash(b[4:36])
}

// stateReadable reports whether the state of a SHA-256 digest can be read.
var stateReadable = sync.OnceValue(func() bool { return readable(sha256.New()) })

// readable reports whether the stored state of digest, which is one of SHA-256,
// has the layout that [worker.sum] reads. The standard library does not promise
// it, so the first use tries it.
func readable(digest hash.Hash) bool {
	w := &worker{digest: digest}
	w.state, _ = digest.(encoding.BinaryAppender)
	if w.state == nil {
		return false
	}
	if b, err := w.state.AppendBinary(nil); err != nil || len(b) < 36 {
		return false
	}
	for n := range maxPadded + 1 {
		message := bytes.Repeat([]byte{byte(n)}, n)
		copy(w.buf[:], message)
		if w.sum(n) != sha256.Sum256(message) {
			return false
		}
	}
	return true
}
