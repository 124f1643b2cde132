// SPDX-License-Identifier: MIT

package merkle_test

import (
	"bytes"
	"context"
	"crypto/sha3"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/ashlar-go/ashlar/merkle"
)

// A record is proved to be in a log.
func Example() {
	var log merkle.Tree
	i := log.Append([]byte("alice pays bob 5"))
	log.Append([]byte("bob pays carol 3"))
	proof, _ := merkle.AppendInclusion(nil, &log, nil, i, log.Len())
	leaf := merkle.SHA256.Leaf([]byte("alice pays bob 5"))
	fmt.Println(merkle.VerifyInclusion(nil, proof, i, log.Len(), leaf, log.Root()))
	// Output:
	// <nil>
}

// The tree of the package comment, with the proof of tx3.
func Example_transactions() {
	var log merkle.Tree
	for _, tx := range []string{"tx1", "tx2", "tx3", "tx4"} {
		log.Append([]byte(tx))
	}
	for level := 2; level >= 0; level-- {
		var row []merkle.Hash
		for i := range log.Len() >> level {
			h, _ := log.Node(level, i)
			row = append(row, h)
		}
		fmt.Printf("%.8v\n", row)
	}

	proof, _ := merkle.AppendInclusion(nil, &log, nil, 2, 4)
	h := merkle.SHA256.Leaf([]byte("tx3"))
	h = merkle.SHA256.Node(h, proof[0])
	h = merkle.SHA256.Node(proof[1], h)
	fmt.Printf("proof of tx3: %.8v leads to %.8v\n", proof, h)
	// Output:
	// [dc53b6c7]
	// [60e1f5f6 3c373b49]
	// [b535c0e4 8f968b0e dd92b235 590b66ca]
	// proof of tx3: [590b66ca 60e1f5f6] leads to dc53b6c7
}

// An auditor keeps the size and the root of a log. When it has grown, the log
// has to prove that it begins with what the auditor saw: one that was rewritten
// cannot.
func Example_tamperedLog() {
	build := func(records ...string) *merkle.Tree {
		var log merkle.Tree
		for _, r := range records {
			log.Append([]byte(r))
		}
		return &log
	}
	audit := func(log *merkle.Tree, size uint64, root merkle.Hash) {
		proof, err := merkle.AppendConsistency(nil, log, nil, size, log.Len())
		if err != nil {
			fmt.Println("shrunk:", errors.Is(err, merkle.ErrRange))
			return
		}
		err = merkle.VerifyConsistency(nil, proof, size, log.Len(), root, log.Root())
		fmt.Println("rewritten:", errors.Is(err, merkle.ErrProof))
	}

	seen := build("deposit 100", "withdraw 30", "deposit 5")
	size, root := seen.Len(), seen.Root()
	audit(build("deposit 100", "withdraw 30", "deposit 5", "withdraw 1"), size, root)
	audit(build("deposit 100", "withdraw 90", "deposit 5", "withdraw 1"), size, root)
	audit(build("deposit 100", "withdraw 30"), size, root)
	// Output:
	// rewritten: false
	// rewritten: true
	// shrunk: true
}

// A download is checked chunk by chunk while it streams: the name of the file
// comes from its publisher, the bytes and the hashes from any mirror. The first
// wrong chunk ends it.
func Example_download() {
	release := bytes.Repeat([]byte("0123456789abcdef"), 1000)
	name, nodes, _ := merkle.SumFile(context.Background(), bytes.NewReader(release), int64(len(release)), &merkle.FileOptions{ChunkSize: 4096})

	mirror := bytes.Clone(release)
	mirror[9000] = '!'
	for _, download := range [][]byte{release, mirror} {
		n, err := io.Copy(io.Discard, name.NewReader(bytes.NewReader(download), nodes))
		fmt.Println(n, "bytes:", err)
		var chunk *merkle.ChunkError
		if errors.As(err, &chunk) {
			fmt.Printf("fetch %d bytes at %d again\n", chunk.Len, chunk.Off)
		}
	}
	// Output:
	// 16000 bytes: <nil>
	// 8192 bytes: merkle: the chunk of 4096 bytes at 8192, or a node above it, is not that of the file
	// fetch 4096 bytes at 8192 again
}

// A replica is a store with an index of its values.
type replica struct {
	values map[string]string
	index  *merkle.Index
}

func newReplica() *replica {
	return &replica{map[string]string{}, merkle.NewIndex([]byte("shared by all replicas"), nil)}
}

func (r *replica) set(key, value string) {
	r.values[key] = value
	h := merkle.SHA256.Leaf([]byte(value))
	r.index.Set(key, merkle.Digest(h[:16]))
}

// A network carries messages, and counts them.
type network struct {
	to               *merkle.Index
	exchanges, bytes int
}

func (n *network) Exchange(_ context.Context, msg []byte) ([]byte, error) {
	reply, err := n.to.Respond(msg)
	n.exchanges++
	n.bytes += len(msg) + len(reply)
	return reply, err
}

// Two replicas of 10,000 keys, of which three differ, find these and repair
// them. All keys with their digests would be 260 KB.
func Example_replicas() {
	a, b := newReplica(), newReplica()
	for i := range 10_000 {
		key := fmt.Sprintf("user:%04d", i)
		a.set(key, "v1")
		b.set(key, "v1")
	}
	b.set("user:0042", "v2")
	b.set("user:9999", "v2")
	b.set("user:new", "v1")

	n := &network{to: b.index}
	for d, err := range a.index.Diff(context.Background(), n) {
		if err != nil {
			fmt.Println(err)
			return
		}
		a.set(d.Key, b.values[d.Key]) // fetch the newer value
		fmt.Println("repaired", d.Key)
	}
	fmt.Println("equal:", maps.Equal(a.values, b.values))
	fmt.Println("exchanges:", n.exchanges, "below 5 KB:", n.bytes < 5000)
	// Output:
	// repaired user:9999
	// repaired user:new
	// repaired user:0042
	// equal: true
	// exchanges: 3 below 5 KB: true
}

// Git names a directory by the hash of its entries, and these by the hashes of
// their contents. What did not change is stored once, and a name fixes all
// below it.
func Example_contentAddressed() {
	store := map[merkle.Hash]string{}
	blob := func(text string) merkle.Hash {
		h := merkle.SHA256.Leaf([]byte("blob " + text))
		store[h] = text
		return h
	}
	tree := func(entries map[string]merkle.Hash) merkle.Hash {
		var list merkle.Range
		for _, name := range slices.Sorted(maps.Keys(entries)) {
			list.Append([]byte(entries[name].String() + " " + name))
		}
		root, _ := list.Root()
		store[root] = fmt.Sprint(entries)
		return root
	}

	docs := tree(map[string]merkle.Hash{"intro": blob("hello"), "api": blob("none")})
	v1 := tree(map[string]merkle.Hash{"docs": docs, "main": blob("print 1")})
	before := len(store)
	v2 := tree(map[string]merkle.Hash{"docs": docs, "main": blob("print 2")})
	fmt.Println("same:", v1 == v2, "stored anew:", len(store)-before)
	// Output:
	// same: false stored anew: 2
}

func ExampleTree() {
	var log merkle.Tree
	log.Append([]byte("first"))
	log.Append([]byte("second"))
	fmt.Println(log.Len(), log.Root())
	// Output:
	// 2 3ae5bfa57ffa769d9634a86f3a26286aa69fd50ea0585f8061f902ad5f0327f7
}

func ExampleNewTree() {
	keccak := merkle.NewHasher(func() hash.Hash { return sha3.New256() })
	log := merkle.NewTree(keccak)
	i := log.Append([]byte("first"))
	proof, _ := merkle.AppendInclusion(nil, log, keccak, i, 1)
	fmt.Println(merkle.VerifyInclusion(keccak, proof, i, 1, keccak.Leaf([]byte("first")), log.Root()))
	// Output:
	// <nil>
}

func ExampleTree_Append() {
	var log merkle.Tree
	fmt.Println(log.Append([]byte("a")), log.Append([]byte("b")), log.Append([]byte("b")))
	// Output:
	// 0 1 2
}

// A record that lies elsewhere, and whose hash is known, need not be read.
func ExampleTree_AppendHash() {
	var a, b merkle.Tree
	a.Append([]byte("record"))
	b.AppendHash(merkle.SHA256.Leaf([]byte("record")))
	fmt.Println(a.Root() == b.Root())
	// Output:
	// true
}

func ExampleTree_AppendAll() {
	var log merkle.Tree
	records := bytes.Fields([]byte("deposit withdraw deposit deposit"))
	err := log.AppendAll(context.Background(), records)
	fmt.Println(log.Len(), err)
	// Output:
	// 4 <nil>
}

func ExampleTree_Len() {
	var log merkle.Tree
	log.Append(nil)
	fmt.Println(log.Len())
	// Output:
	// 1
}

func ExampleTree_Root() {
	var log merkle.Tree
	fmt.Println(log.Root()) // of no leaves: the hash of nothing
	// Output:
	// e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855
}

func ExampleTree_RootAt() {
	var log merkle.Tree
	log.Append([]byte("a"))
	before := log.Root()
	log.Append([]byte("b"))
	then, err := log.RootAt(1)
	fmt.Println(then == before, err)
	_, err = log.RootAt(3)
	fmt.Println(err)
	// Output:
	// true <nil>
	// merkle: out of range: size 3 of 2
}

func ExampleTree_Node() {
	var log merkle.Tree
	for range 3 {
		log.Append([]byte("x"))
	}
	leaf, _ := log.Node(0, 2)
	_, err := log.Node(1, 1) // its second leaf is not there
	fmt.Println(leaf == merkle.SHA256.Leaf([]byte("x")), err)
	// Output:
	// true merkle: out of range: node 1 of level 1
}

func ExampleTree_WriteTo() {
	var log, back merkle.Tree
	log.Append([]byte("a"))
	log.Append([]byte("b"))
	var file bytes.Buffer
	n, err := log.WriteTo(&file)
	fmt.Println(n, err)
	_, err = back.ReadFrom(&file)
	fmt.Println(back.Root() == log.Root(), err)
	// Output:
	// 136 <nil>
	// true <nil>
}

func ExampleTree_UnmarshalBinary() {
	var log, back merkle.Tree
	log.Append([]byte("a"))
	b, _ := log.MarshalBinary()
	fmt.Println(back.UnmarshalBinary(b), back.Root() == log.Root())
	b[40] ^= 1
	fmt.Println(back.UnmarshalBinary(b))
	// Output:
	// <nil> true
	// merkle: corrupt form: checksum
}

func ExampleHash() {
	h := merkle.SHA256.Leaf([]byte("a"))
	text, _ := json.Marshal(h)
	var back merkle.Hash
	fmt.Println(string(text), json.Unmarshal(text, &back), back == h)
	// Output:
	// "022a6979e6dab7aa5ae4c3e5e45f7e977112a7e63593820dbec1ec738a24f93c" <nil> true
}

func ExampleHasher() {
	a, b := merkle.SHA256.Leaf([]byte("a")), merkle.SHA256.Leaf([]byte("b"))
	var log merkle.Tree
	log.Append([]byte("a"))
	log.Append([]byte("b"))
	fmt.Println(merkle.SHA256.Node(a, b) == log.Root())
	fmt.Println(merkle.SHA256.Empty() == new(merkle.Tree).Root())
	// Output:
	// true
	// true
}

// numbered returns a log of n records.
func numbered(n int) *merkle.Tree {
	var log merkle.Tree
	for i := range n {
		log.Append(fmt.Append(nil, "record ", i))
	}
	return &log
}

func ExampleAppendInclusion() {
	log := numbered(1000)
	proof, err := merkle.AppendInclusion(nil, log, nil, 123, 1000)
	fmt.Println(len(proof), err)
	_, err = merkle.AppendInclusion(nil, log, nil, 1000, 1000)
	fmt.Println(err)
	// Output:
	// 10 <nil>
	// merkle: out of range: leaf 1000 of 1000
}

func ExampleVerifyInclusion() {
	log := numbered(1000)
	proof, _ := merkle.AppendInclusion(nil, log, nil, 123, 1000)
	leaf := merkle.SHA256.Leaf([]byte("record 123"))
	fmt.Println(merkle.VerifyInclusion(nil, proof, 123, 1000, leaf, log.Root()))
	err := merkle.VerifyInclusion(nil, proof, 124, 1000, leaf, log.Root())
	fmt.Println(errors.Is(err, merkle.ErrProof))
	// Output:
	// <nil>
	// true
}

func ExampleAppendConsistency() {
	proof, err := merkle.AppendConsistency(nil, numbered(1000), nil, 600, 1000)
	fmt.Println(len(proof), err)
	// Output:
	// 8 <nil>
}

func ExampleVerifyConsistency() {
	log := numbered(600)
	old := log.Root()
	log.Append([]byte("one more"))
	proof, _ := merkle.AppendConsistency(nil, log, nil, 600, 601)
	fmt.Println(merkle.VerifyConsistency(nil, proof, 600, 601, old, log.Root()))
	// Output:
	// <nil>
}

// A mirror that fetches records 100 to 199 checks all of them by one proof.
func ExampleVerifyRange() {
	log := numbered(1000)
	proof, _ := merkle.AppendRangeProof(nil, log, nil, 100, 200, 1000)
	var leaves []merkle.Hash
	for i := 100; i < 200; i++ {
		leaves = append(leaves, merkle.SHA256.Leaf(fmt.Append(nil, "record ", i)))
	}
	fmt.Println(len(proof), merkle.VerifyRange(nil, proof, 100, 1000, leaves, log.Root()))
	// Output:
	// 8 <nil>
}

func ExampleAppendRangeProof() {
	proof, err := merkle.AppendRangeProof(nil, numbered(1000), nil, 0, 512, 1000)
	fmt.Println(len(proof), err) // the other half
	// Output:
	// 1 <nil>
}

func ExampleAppendMultiProof() {
	log := numbered(1000)
	proof, err := merkle.AppendMultiProof(nil, log, nil, []uint64{100, 101, 700}, 1000)
	fmt.Println(len(proof), err) // three single proofs have 30 hashes
	// Output:
	// 17 <nil>
}

func ExampleVerifyMulti() {
	log := numbered(1000)
	indices := []uint64{3, 700}
	proof, _ := merkle.AppendMultiProof(nil, log, nil, indices, 1000)
	leaves := []merkle.Hash{merkle.SHA256.Leaf([]byte("record 3")), merkle.SHA256.Leaf([]byte("record 700"))}
	fmt.Println(merkle.VerifyMulti(nil, proof, indices, 1000, leaves, log.Root()))
	// Output:
	// <nil>
}

func ExampleProof() {
	hashes, _ := merkle.AppendInclusion(nil, numbered(1000), nil, 123, 1000)
	b, _ := merkle.Proof(hashes).MarshalBinary()
	var proof merkle.Proof
	err := proof.UnmarshalBinary(b)
	fmt.Println(len(b), err, slices.Equal(proof, hashes))
	// Output:
	// 360 <nil> true
}

// Two machines hash half of a list each, and send their ranges.
func ExampleRange() {
	left, right := merkle.NewRange(nil, 0), merkle.NewRange(nil, 600)
	for i := range 600 {
		left.Append(fmt.Append(nil, "record ", i))
	}
	for i := 600; i < 1000; i++ {
		right.Append(fmt.Append(nil, "record ", i))
	}
	err := left.Merge(right)
	root, _ := left.Root()
	fmt.Println(err, left.Begin(), left.End(), root == numbered(1000).Root())
	// Output:
	// <nil> 0 1000 true
}

// A service that only signs roots keeps a range of a few hundred bytes between
// runs.
func ExampleRange_MarshalBinary() {
	var r merkle.Range
	for i := range 1000 {
		r.AppendHash(merkle.SHA256.Leaf(fmt.Append(nil, "record ", i)))
	}
	b, _ := r.MarshalBinary()
	var again merkle.Range
	err := again.UnmarshalBinary(b)
	root, _ := again.Root()
	fmt.Println(len(b), err, root == numbered(1000).Root())
	// Output:
	// 232 <nil> true
}

func ExampleSumFile() {
	text := strings.Repeat("All work and no play makes Jack a dull boy. ", 1000)
	f, nodes, err := merkle.SumFile(context.Background(), strings.NewReader(text), int64(len(text)), nil)
	fmt.Println(f.Size, f.ChunkSize, nodes.Len(), err)
	// Output:
	// 44000 16384 3 <nil>
}

func ExampleFileHasher() {
	h := merkle.NewFileHasher(nil)
	for range 1000 {
		fmt.Fprint(h, "All work and no play makes Jack a dull boy. ")
	}
	f, nodes := h.Sum()
	fmt.Println(f.Size, nodes.Len(), f.Root == nodes.Root())
	// Output:
	// 44000 3 true
}

func ExampleFile() {
	f, _ := merkle.NewFileHasher(nil).Sum()
	text, _ := json.Marshal(f)
	fmt.Println(string(text))
	b, _ := f.MarshalBinary()
	var back merkle.File
	fmt.Println(len(b), back.UnmarshalBinary(b), back == f)
	// Output:
	// {"Root":"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","Size":0,"ChunkSize":16384}
	// 72 <nil> true
}

func ExampleFile_NewReader() {
	h := merkle.NewFileHasher(nil)
	fmt.Fprint(h, "hello, world")
	f, nodes := h.Sum()
	text, err := io.ReadAll(f.NewReader(strings.NewReader("hello, world"), nodes))
	fmt.Println(string(text), err)
	_, err = io.ReadAll(f.NewReader(strings.NewReader("hello, World"), nodes))
	fmt.Println(errors.Is(err, merkle.ErrProof))
	// Output:
	// hello, world <nil>
	// true
}

func ExampleFile_ReaderAt() {
	h := merkle.NewFileHasher(nil)
	fmt.Fprint(h, "hello, world")
	f, nodes := h.Sum()
	part := make([]byte, 5)
	n, err := f.ReaderAt(strings.NewReader("hello, world"), nodes).ReadAt(part, 7)
	fmt.Println(string(part[:n]), err)
	// Output:
	// world <nil>
}

// A client that needs 100 bytes of a large file gets them with their proof,
// and checks both with the name of the file alone.
func ExampleFile_AppendSlice() {
	data := bytes.Repeat([]byte("0123456789"), 100_000)
	f, nodes, _ := merkle.SumFile(context.Background(), bytes.NewReader(data), int64(len(data)), &merkle.FileOptions{ChunkSize: 1024})
	slice, err := f.AppendSlice(nil, bytes.NewReader(data), nodes, 500_000, 100)
	fmt.Println(len(slice), err)
	part, err := f.OpenSlice(slice, 500_000, 100)
	fmt.Println(string(part[:10]), len(part), err)
	// Output:
	// 1384 <nil>
	// 0123456789 100 <nil>
}

func ExampleFile_OpenSlice() {
	data := []byte("hello, world")
	h := merkle.NewFileHasher(nil)
	_, _ = h.Write(data)
	f, nodes := h.Sum()
	slice, _ := f.AppendSlice(nil, bytes.NewReader(data), nodes, 0, 5)
	part, err := f.OpenSlice(slice, 0, 5)
	fmt.Println(string(part), err)
	_, err = f.OpenSlice(slice, 7, 5)
	fmt.Println(errors.Is(err, merkle.ErrProof))
	// Output:
	// hello <nil>
	// true
}

func ExampleFileOptions_Validate() {
	fmt.Println((&merkle.FileOptions{ChunkSize: 1000}).Validate())
	// Output:
	// merkle: FileOptions.ChunkSize must be a power of two from 1 KiB to 16 MiB, got 1000
}

func ExampleIndex() {
	x := merkle.NewIndex([]byte("sixteen bytes or more"), nil)
	x.Set("b", merkle.Digest{2})
	x.Set("a", merkle.Digest{1})
	d, ok := x.Get("a")
	fmt.Println(d[0], ok, x.Len())
	fmt.Println(x.Delete("a"), x.Delete("a"))
	for key := range x.All() {
		fmt.Println(key)
	}
	// Output:
	// 1 true 2
	// true false
	// b
}

func ExampleIndex_Diff() {
	a := merkle.NewIndex([]byte("sixteen bytes or more"), nil)
	b := merkle.NewIndex([]byte("sixteen bytes or more"), nil)
	a.Set("here", merkle.Digest{1})
	b.Set("there", merkle.Digest{1})
	a.Set("both", merkle.Digest{1})
	b.Set("both", merkle.Digest{2})
	for d, err := range a.Diff(context.Background(), &network{to: b}) {
		fmt.Println(d.Key, d.HasLocal, d.HasRemote, err)
	}
	// Output:
	// both true true <nil>
	// here true false <nil>
	// there false true <nil>
}

// A handler answers the messages of others; what is no message is an error.
func ExampleIndex_Respond() {
	x := merkle.NewIndex([]byte("sixteen bytes or more"), nil)
	_, err := x.Respond([]byte("GET / HTTP/1.1"))
	fmt.Println(errors.Is(err, merkle.ErrCorrupt))
	// Output:
	// true
}

func ExampleIndexOptions_Validate() {
	fmt.Println((&merkle.IndexOptions{MaxFrame: 100}).Validate())
	// Output:
	// merkle: IndexOptions.MaxFrame must be at least 1 KiB, got 100
}
