// SPDX-License-Identifier: MIT

package merkle

import (
	"context"
	"slices"

	cbergoon "github.com/cbergoon/merkletree"
	comet "github.com/cometbft/cometbft/crypto/merkle"
	"github.com/transparency-dev/merkle/compact"
	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
	txaty "github.com/txaty/go-merkletree"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/ashlar-go/ashlar/internal/peers/bench"
	"github.com/ashlar-go/ashlar/merkle"
)

// The names of the peers.
const (
	cometName    = "cometbft"
	cbergoonName = "cbergoon"
	tlogName     = "x/mod tlog"
	transName    = "transparency-dev"
	txatyName    = "txaty"
)

// must panics if something that cannot fail did.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// Ours.

type oursTree struct{ merkle.Tree }

func (t *oursTree) root() []byte { r := t.Root(); return r[:] }

// buildOurs uses as many goroutines as there are processors.
func buildOurs(leaves [][]byte, _ int) tree {
	t := new(oursTree)
	if err := t.AppendAll(context.Background(), leaves); err != nil {
		panic(err)
	}
	return t
}

func oursAppend(leaves [][]byte) bench.Op {
	t := new(merkle.Tree)
	return each(func(i int) bool {
		t.Append(leaves[i])
		return true
	})
}

func oursRange(leaves [][]byte) bench.Op {
	var r merkle.Range
	return each(func(i int) bool {
		r.Append(leaves[i])
		return true
	})
}

func oursProve(leaves [][]byte) bench.Op {
	t := buildOurs(leaves, 0).(*oursTree)
	asked := probes(len(leaves))
	size := t.Len()
	var dst []merkle.Hash
	var out []byte
	return each(func(i int) bool {
		var err error
		dst, err = merkle.AppendInclusion(dst[:0], &t.Tree, nil, uint64(asked[i]), size)
		out = out[:0]
		for j := range dst {
			out = append(out, dst[j][:]...)
		}
		return err == nil
	})
}

func oursVerify(leaves [][]byte) bench.Op {
	t := buildOurs(leaves, 0).(*oursTree)
	asked := probes(len(leaves))
	size, root := t.Len(), t.Root()
	proofs := make([][]merkle.Hash, len(asked))
	for i, at := range asked {
		proofs[i] = must(merkle.AppendInclusion(nil, &t.Tree, nil, uint64(at), size))
	}
	return each(func(i int) bool {
		leaf := merkle.SHA256.Leaf(leaves[asked[i]])
		return merkle.VerifyInclusion(nil, proofs[i], uint64(asked[i]), size, leaf, root) == nil
	})
}

func oursConsistency(leaves [][]byte) bench.Op {
	t := buildOurs(leaves, 0).(*oursTree)
	asked := probes(len(leaves))
	size := t.Len()
	var dst []merkle.Hash
	return each(func(i int) bool {
		var err error
		dst, err = merkle.AppendConsistency(dst[:0], &t.Tree, nil, uint64(asked[i]+1), size)
		return err == nil
	})
}

func oursVerifyConsistency(leaves [][]byte) bench.Op {
	t := buildOurs(leaves, 0).(*oursTree)
	asked := probes(len(leaves))
	size, root := t.Len(), t.Root()
	proofs := make([][]merkle.Hash, len(asked))
	roots := make([]merkle.Hash, len(asked))
	for i, at := range asked {
		proofs[i] = must(merkle.AppendConsistency(nil, &t.Tree, nil, uint64(at+1), size))
		roots[i] = must(t.RootAt(uint64(at + 1)))
	}
	return each(func(i int) bool {
		return merkle.VerifyConsistency(nil, proofs[i], uint64(asked[i]+1), size, roots[i], root) == nil
	})
}

// CometBFT computes the root of a list, and keeps no tree.

type rootOnly []byte

func (r rootOnly) root() []byte { return r }

func buildComet(leaves [][]byte, _ int) tree {
	return rootOnly(comet.HashFromByteSlices(leaves))
}

// cbergoon/merkletree, in the mode that its documentation names for logs: the
// tree of RFC 6962. The tree hashes what a content returns, with the prefix of
// a leaf.

type content []byte

func (c content) CalculateHash() ([]byte, error) { return c, nil }

func (c content) Equals(other cbergoon.Content) (bool, error) {
	o, ok := other.(content)
	return ok && slices.Equal(c, o), nil
}

type cbergoonTree struct{ *cbergoon.MerkleTree }

func (t cbergoonTree) root() []byte { return t.MerkleRoot() }

func buildCbergoon(leaves [][]byte, procs int) tree {
	list := make([]cbergoon.Content, len(leaves))
	for i, leaf := range leaves {
		list[i] = content(leaf)
	}
	options := []cbergoon.TreeOption{cbergoon.WithRFC6962()}
	if procs > 1 {
		options = append(options, cbergoon.WithParallelism(procs))
	}
	return cbergoonTree{must(cbergoon.NewTreeWithOptions(list, options...))}
}

func cbergoonProve(leaves [][]byte) bench.Op {
	t := buildCbergoon(leaves, 1).(cbergoonTree)
	asked := probes(len(leaves))
	var path [][]byte
	var sides []int64
	var out []byte
	return each(func(i int) bool {
		var err error
		path, sides, err = t.AppendMerklePathByIndex(path[:0], sides[:0], asked[i])
		out = out[:0]
		for _, h := range path {
			out = append(out, h...)
		}
		return err == nil
	})
}

func cbergoonVerify(leaves [][]byte) bench.Op {
	t := buildCbergoon(leaves, 1).(cbergoonTree)
	asked := probes(len(leaves))
	root := t.MerkleRoot()
	paths := make([][][]byte, len(asked))
	sides := make([][]int64, len(asked))
	for i, at := range asked {
		var err error
		if paths[i], sides[i], err = t.GetMerklePathByIndex(at); err != nil {
			panic(err)
		}
	}
	return each(func(i int) bool {
		return must(cbergoon.VerifyProof(content(leaves[asked[i]]), paths[i], sides[i], root, cbergoon.WithRFC6962()))
	})
}

// The package tlog of x/mod, whose hashes are kept in memory.

type tlogTree struct {
	hashes []tlog.Hash
	size   int64
}

func (t *tlogTree) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	list := make([]tlog.Hash, len(indexes))
	for i, x := range indexes {
		list[i] = t.hashes[x]
	}
	return list, nil
}

func (t *tlogTree) root() []byte {
	r := must(tlog.TreeHash(t.size, t))
	return r[:]
}

func (t *tlogTree) add(leaf []byte) {
	t.hashes = append(t.hashes, must(tlog.StoredHashes(t.size, leaf, t))...)
	t.size++
}

func buildTlog(leaves [][]byte, _ int) tree {
	t := &tlogTree{hashes: make([]tlog.Hash, 0, 2*len(leaves))}
	for _, leaf := range leaves {
		t.add(leaf)
	}
	return t
}

func tlogAppend(leaves [][]byte) bench.Op {
	t := new(tlogTree)
	return each(func(i int) bool {
		t.add(leaves[i])
		return true
	})
}

func tlogProve(leaves [][]byte) bench.Op {
	t := buildTlog(leaves, 0).(*tlogTree)
	asked := probes(len(leaves))
	var out []byte
	return each(func(i int) bool {
		p, err := tlog.ProveRecord(t.size, int64(asked[i]), t)
		out = out[:0]
		for j := range p {
			out = append(out, p[j][:]...)
		}
		return err == nil
	})
}

func tlogVerify(leaves [][]byte) bench.Op {
	t := buildTlog(leaves, 0).(*tlogTree)
	asked := probes(len(leaves))
	root := tlog.Hash(t.root())
	proofs := make([]tlog.RecordProof, len(asked))
	for i, at := range asked {
		proofs[i] = must(tlog.ProveRecord(t.size, int64(at), t))
	}
	return each(func(i int) bool {
		return tlog.CheckRecord(proofs[i], t.size, root, int64(asked[i]), tlog.RecordHash(leaves[asked[i]])) == nil
	})
}

func tlogConsistency(leaves [][]byte) bench.Op {
	t := buildTlog(leaves, 0).(*tlogTree)
	asked := probes(len(leaves))
	return each(func(i int) bool {
		_, err := tlog.ProveTree(t.size, int64(asked[i]+1), t)
		return err == nil
	})
}

func tlogVerifyConsistency(leaves [][]byte) bench.Op {
	t := buildTlog(leaves, 0).(*tlogTree)
	asked := probes(len(leaves))
	root := tlog.Hash(t.root())
	proofs := make([]tlog.TreeProof, len(asked))
	roots := make([]tlog.Hash, len(asked))
	for i, at := range asked {
		proofs[i] = must(tlog.ProveTree(t.size, int64(at+1), t))
		roots[i] = must(tlog.TreeHash(int64(at+1), t))
	}
	return each(func(i int) bool {
		return tlog.CheckTree(proofs[i], t.size, root, int64(asked[i]+1), roots[i]) == nil
	})
}

// transparency-dev/merkle, whose nodes are kept by level, as its Range reports
// them.

type transTree struct {
	*compact.Range
	levels [64][][]byte
}

func (t *transTree) root() []byte { return must(t.GetRootHash(nil)) }

func (t *transTree) add(leaf []byte) {
	err := t.Append(rfc6962.DefaultHasher.HashLeaf(leaf), func(id compact.NodeID, hash []byte) {
		t.levels[id.Level] = append(t.levels[id.Level], hash)
	})
	if err != nil {
		panic(err)
	}
}

func newTrans() *transTree {
	f := &compact.RangeFactory{Hash: rfc6962.DefaultHasher.HashChildren}
	return &transTree{Range: f.NewEmptyRange(0)}
}

func buildTrans(leaves [][]byte, _ int) tree {
	t := newTrans()
	for _, leaf := range leaves {
		t.add(leaf)
	}
	return t
}

func transAppend(leaves [][]byte) bench.Op {
	t := newTrans()
	return each(func(i int) bool {
		t.add(leaves[i])
		return true
	})
}

func transRange(leaves [][]byte) bench.Op {
	t := newTrans()
	return each(func(i int) bool {
		return t.Append(rfc6962.DefaultHasher.HashLeaf(leaves[i]), nil) == nil
	})
}

// nodes returns the hashes that a proof asks for.
func (t *transTree) nodes(want proof.Nodes) [][]byte {
	list := make([][]byte, len(want.IDs))
	for i, id := range want.IDs {
		list[i] = t.levels[id.Level][id.Index]
	}
	return must(want.Rehash(list, rfc6962.DefaultHasher.HashChildren))
}

func transProve(leaves [][]byte) bench.Op {
	t := buildTrans(leaves, 0).(*transTree)
	asked := probes(len(leaves))
	var out []byte
	return each(func(i int) bool {
		out = out[:0]
		for _, h := range t.nodes(must(proof.Inclusion(uint64(asked[i]), t.End()))) {
			out = append(out, h...)
		}
		return len(out) > 0
	})
}

func transVerify(leaves [][]byte) bench.Op {
	t := buildTrans(leaves, 0).(*transTree)
	asked := probes(len(leaves))
	root := t.root()
	proofs := make([][][]byte, len(asked))
	for i, at := range asked {
		proofs[i] = t.nodes(must(proof.Inclusion(uint64(at), t.End())))
	}
	h := rfc6962.DefaultHasher
	return each(func(i int) bool {
		return proof.VerifyInclusion(h, uint64(asked[i]), t.End(), h.HashLeaf(leaves[asked[i]]), proofs[i], root) == nil
	})
}

// txaty/go-merkletree knows no domain separation: it hashes one block where the
// others hash two, and fills odd levels up.

type block []byte

func (b block) Serialize() ([]byte, error) { return b, nil }

type txatyTree struct{ *txaty.MerkleTree }

func (t txatyTree) root() []byte { return t.Root }

func buildTxaty(leaves [][]byte, procs int) tree {
	list := make([]txaty.DataBlock, len(leaves))
	for i, leaf := range leaves {
		list[i] = block(leaf)
	}
	config := &txaty.Config{Mode: txaty.ModeTreeBuild, RunInParallel: procs > 1, NumRoutines: procs}
	return txatyTree{must(txaty.New(config, list))}
}
