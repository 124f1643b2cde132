// SPDX-License-Identifier: MIT

package merkle

import (
	"sync"
	"testing"
)

// TestReadersNeverWait checks that readers, while a goroutine appends, see
// trees that existed: each root, proof and consistency with the tree they saw
// before is right.
func TestReadersNeverWait(t *testing.T) {
	n := 20_000
	if raceEnabled || testing.Short() {
		n = 3000
	}
	d := numbers(n)
	roots := make([]Hash, n+1)
	var r Range
	for i := range roots {
		roots[i], _ = r.Root()
		if i < n {
			r.Append(d[i])
		}
	}

	var tree Tree
	var wg sync.WaitGroup
	done := make(chan struct{})
	for range 2 {
		wg.Go(func() {
			old := uint64(0)
			for running := true; running; {
				select {
				case <-done:
					running = false
				default:
				}
				old = readAll(t, &tree, d, roots, old)
			}
		})
	}

	// Half of the leaves one by one, the others in batches.
	for i := 0; i < n; {
		if i < n/2 {
			tree.Append(d[i])
			i++
			continue
		}
		batch := d[i:min(i+1500, n)]
		if err := tree.AppendAll(t.Context(), batch); err != nil {
			t.Error(err)
			break
		}
		i += len(batch)
	}
	close(done)
	wg.Wait()
}

// readAll reads the tree as it is, and checks it against roots, and against the
// tree of the first old leaves. It returns the number of leaves.
func readAll(t *testing.T, tree *Tree, d [][]byte, roots []Hash, old uint64) uint64 {
	size := tree.Len()
	if size < old {
		t.Errorf("Len = %d, want at least %d as before", size, old)
	}
	root, err := tree.RootAt(size)
	if err != nil || root != roots[size] {
		t.Errorf("RootAt(%d) = %v, %v, want %v", size, root, err, roots[size])
	}

	if size > 0 {
		p, err := AppendInclusion(nil, tree, nil, size-1, size)
		if err != nil {
			t.Error(err)
		}
		if err := VerifyInclusion(nil, p, size-1, size, SHA256.Leaf(d[size-1]), root); err != nil {
			t.Error(err)
		}
	}

	if old > 0 {
		p, err := AppendConsistency(nil, tree, nil, old, size)
		if err != nil {
			t.Error(err)
		}
		if err := VerifyConsistency(nil, p, old, size, roots[old], root); err != nil {
			t.Error(err)
		}
	}
	return size
}
