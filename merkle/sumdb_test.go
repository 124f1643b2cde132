// SPDX-License-Identifier: MIT

package merkle

import (
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// sumKey is the public key of the Go checksum database, as the go command has
// it.
const sumKey = "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8"

// TestChecksumDatabase proves the records that the go command has looked up in
// the Go checksum database, a log of some 70 million modules, from the tiles of
// hashes in the module cache, and verifies them against the signed tree head
// that came with each. It is skipped where the cache has none of them.
func TestChecksumDatabase(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "env", "GOMODCACHE").Output()
	if err != nil {
		t.Skip("no go command")
	}
	dir := filepath.Join(strings.TrimSpace(string(out)), "cache", "download", "sumdb", "sum.golang.org")
	tiles := &tileReader{dir: filepath.Join(dir, "tile", "8"), cache: map[string][]byte{}}
	proved, missing := 0, 0

	err = filepath.WalkDir(filepath.Join(dir, "lookup"), func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		err = proveRecord(tiles, string(text))
		if errors.Is(err, fs.ErrNotExist) {
			missing++ // tiles of the tree head were not needed, or are gone
			return nil
		}
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		proved++
		return nil
	})

	if errors.Is(err, fs.ErrNotExist) || err == nil && proved == 0 {
		t.Skip("the module cache has no records with their tiles")
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d records proved, %d have no tiles here", proved, missing)
}

// proveRecord proves what a lookup returned: a number, a record, and a signed
// tree head.
func proveRecord(tiles *tileReader, text string) error {
	number, rest, _ := strings.Cut(text, "\n")
	index, err := strconv.ParseUint(number, 10, 64)
	if err != nil {
		return err
	}
	record, note, _ := strings.Cut(rest, "\n\n")
	size, root, err := treeHead(note)
	if err != nil {
		return err
	}
	p, err := AppendInclusion(nil, tiles, nil, index, size)
	if err != nil {
		return err
	}
	leaf := SHA256.Leaf([]byte(record + "\n"))
	if err := VerifyInclusion(nil, p, index, size, leaf, root); err != nil {
		return err
	}
	if err := VerifyInclusion(nil, p, index, size, SHA256.Leaf([]byte(record)), root); !errors.Is(err, ErrProof) {
		return fmt.Errorf("another record verifies: %w", err)
	}
	return nil
}

// treeHead returns the contents of a tree head whose signature is right.
func treeHead(note string) (size uint64, root Hash, err error) {
	text, signatures, _ := strings.Cut(note, "\n\n")
	text += "\n"
	lines := strings.Split(text, "\n")
	fields := strings.Fields(signatures)
	if len(lines) < 4 || len(fields) < 3 {
		return 0, root, fmt.Errorf("no tree head: %q", note)
	}

	// The key and the signature are behind a byte of kind, and 4 of the key's
	// name.
	parts := strings.SplitN(sumKey, "+", 3)
	key, err := base64.StdEncoding.DecodeString(parts[2])
	if err != nil {
		return 0, root, err
	}
	signature, err := base64.StdEncoding.DecodeString(fields[2])
	if err != nil {
		return 0, root, err
	}
	if !ed25519.Verify(key[1:], []byte(text), signature[4:]) {
		return 0, root, errors.New("the signature of the tree head is wrong")
	}

	size, err = strconv.ParseUint(lines[1], 10, 64)
	if err != nil {
		return 0, root, err
	}
	sum, err := base64.StdEncoding.DecodeString(lines[2])
	if err != nil {
		return 0, root, err
	}
	return size, Hash(sum), nil
}

// A tileReader reads the nodes of the checksum database from tiles: files with
// up to 256 nodes of a level that is a multiple of 8.
type tileReader struct {
	dir   string
	cache map[string][]byte
}

// Node hashes the node from those of the tile below it.
func (r *tileReader) Node(level int, index uint64) (Hash, error) {
	height := level % 8
	first := index << height
	b, err := r.tile(level/8, first/256, first%256+1<<height)
	if err != nil {
		return Hash{}, err
	}
	var row Range
	for i := range uint64(1) << height {
		row.AppendHash(Hash(b[(first%256+i)*32:]))
	}
	return row.Root()
}

// tile returns tile n of a level, with at least width hashes.
func (r *tileReader) tile(level int, n, width uint64) ([]byte, error) {
	path := fmt.Sprintf("%03d", n%1000)
	for n /= 1000; n > 0; n /= 1000 {
		path = fmt.Sprintf("x%03d/%s", n%1000, path)
	}
	path = filepath.Join(r.dir, strconv.Itoa(level), filepath.FromSlash(path))
	if b, ok := r.cache[path]; ok && uint64(len(b)) >= width*32 {
		return b, nil
	}

	// A tile that was not full has its number of hashes as its name.
	names := []string{path}
	partial, err := filepath.Glob(filepath.Join(path+".p", "*"))
	if err != nil {
		return nil, err
	}
	for _, name := range append(names, partial...) {
		b, err := os.ReadFile(name)
		if err == nil && uint64(len(b)) >= width*32 {
			r.cache[path] = b
			return b, nil
		}
	}
	return nil, fmt.Errorf("tile %s: %w", path, fs.ErrNotExist)
}
