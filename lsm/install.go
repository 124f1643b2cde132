// SPDX-License-Identifier: MIT

package lsm

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
)

// An installer has the state of the files of a database, and the manifest in
// which it lies. It is owned by the goroutine that has the token of turn, or by
// Open and Close when there is no other goroutine.
type installer struct {
	db       *DB
	turn     chan struct{} // taken before pipeline.mu, and held while files are written
	manifest               // what is durable, with the highest numbers that were tried

	f    File   // to append to; nil before the first edit
	bad  bool   // a write or sync of the file has failed
	end  int64  // of its edits
	base int64  // of its snapshot
	sum  uint32 // of the head of the last edit

	tried []string // names of manifests that may be there
}

// take takes the turn, and reports whether it did so before the database
// closes.
func (s *installer) take() bool {
	select {
	case s.turn <- struct{}{}:
		return true // also in Close, when nobody else has it
	default:
	}
	select {
	case s.turn <- struct{}{}:
		return true
	case <-s.db.logs.quit:
		return false
	}
}

// give gives the turn to the next one.
func (s *installer) give() { <-s.turn }

// install makes next the state. Its tables are after: those of the state before
// with the change c. After an error nobody knows which of the two states the
// files have.
func (s *installer) install(next manifest, c *change, after *tableSet) error {
	body := c.appendTo(next.appendFields(nil))
	end := s.end + editHeadLen + padded(int64(len(body)))
	if s.bad || end-s.base > max(s.db.lim.edits, s.base) || end > s.db.lim.manifest {
		return s.replace(next, after)
	}

	// The edit is a change of the file that is there.
	s.edit++
	e := encodeEdit(body, editHead{kind: editChange, number: s.edit, chain: s.sum}, s.salt(), s.end)
	if err := s.append(e); err != nil {
		s.bad = true
		return errors.Join(err, s.close())
	}
	s.end += int64(len(e))
	s.sum = binary.LittleEndian.Uint32(e)
	next.fileHeader = s.fileHeader
	next.edit = s.edit
	s.manifest = next
	return nil
}

// errManifestLen is returned instead of a manifest that no Open would read.
var errManifestLen = fmt.Errorf("%w: a manifest of more than %d bytes", ErrTooLarge, maxManifestLen)

// fits returns an error if a manifest may have no room for the tables of v, and
// some more.
func (s *installer) fits(v *tableSet, more int64) error {
	n := more*((&tableMeta{}).fieldBound()+2*MaxKeyLen) + snapshotLen
	for _, tables := range v.levels {
		for _, t := range tables {
			n += t.fieldBound()
		}
	}
	if n > s.db.lim.manifest {
		return errManifestLen
	}
	return nil
}

// append writes an edit, and makes it durable.
func (s *installer) append(e []byte) error {
	if s.f == nil {
		f, err := s.db.opts.FS.OpenWrite(filepath.Join(s.db.dir, manifestName(s.no)))
		if err != nil {
			return err
		}
		s.f = f
	}
	if _, err := s.f.WriteAt(e, s.end); err != nil {
		return err
	}
	return s.f.Sync()
}

// replace writes a new manifest with the state next and the tables of v.
// Afterwards nothing needs the one before.
func (s *installer) replace(next manifest, v *tableSet) error {
	s.bad = true
	s.no++ // a number is tried once, and so is that of an edit
	s.edit++
	next.fileHeader = fileHeader{no: s.no, id: s.db.id, nonce: s.db.nonce()}
	next.edit = s.edit
	next.levels = v.metas()
	b := next.encode()
	next.levels = [numLevels][]tableMeta{}
	if int64(len(b)) > s.db.lim.manifest {
		return errManifestLen // nobody could read it
	}
	s.tried = append(s.tried, manifestName(s.no))
	if err := s.write(next.no, b); err != nil {
		return err
	}

	// The manifests before may still have their names.
	last := len(s.tried) - 1
	s.db.discard(s.tried[:last]...)
	s.tried = slices.Clone(s.tried[last:])
	_ = s.close() // it is synced, or has failed already

	s.manifest = next
	s.bad = false
	s.end = int64(len(b))
	s.base = s.end - manifestHeaderLen
	s.sum = binary.LittleEndian.Uint32(b[manifestHeaderLen:])
	return nil
}

// write makes b the manifest with a number.
func (s *installer) write(no uint64, b []byte) error {
	fsys, dir := s.db.opts.FS, s.db.dir
	tmp := filepath.Join(dir, tmpName)
	if err := fsys.Remove(tmp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := fsys.Create(tmp)
	if err != nil {
		return err
	}

	_, err = f.WriteAt(b, 0)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}

	// The name makes it the manifest.
	if err := fsys.Rename(tmp, filepath.Join(dir, manifestName(no))); err != nil {
		return err
	}
	return fsys.SyncDir(dir)
}

// close closes the file of the manifest, which is synced or of no use.
func (s *installer) close() error {
	if s.f == nil {
		return nil
	}
	err := s.f.Close()
	s.f = nil
	return err
}
