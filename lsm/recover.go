// SPDX-License-Identifier: MIT

package lsm

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
)

// A resumption is the work of Open after it has read a database, before
// anything is committed. It can be tried again.
type resumption struct {
	manifest manifest // the one that was read, and the tables that were written since
	last     *logFile // the last log, whose records are durable; nil once that is done with
	goOn     bool     // last is continued, and not sealed
	next     *logFile // the log after it, or last itself; nil before it is made
	remove   []string // names of files that nothing will refer to
	chain    []uint64 // numbers of the logs that were read
	fold     bool     // they are replaced by one
}

// needed returns the numbers of the logs whose content is in no table.
func (r *resumption) needed() []uint64 {
	return slices.DeleteFunc(slices.Clone(r.chain), func(no uint64) bool { return no < r.manifest.oldest.no })
}

const (
	maxChain = 64         // logs that Open reads without folding them
	copyLen  = asyncBytes // of a record of copies, at least, but the last
)

// recover reads the database, and makes it ready for commits.
func (db *DB) recover(files listing) error {
	before, last, r, err := db.replay(files)
	if err != nil {
		return err
	}
	db.commits.visible.Store(db.commits.seq)
	db.commits.written = db.commits.seq
	db.commits.synced = db.commits.seq
	if db.opts.ReadOnly {
		return nil
	}

	// Everything that was read is made durable before anything is written.
	if err := db.preserve(before, last, r); err != nil {
		return err
	}

	// A log without operations goes on. Any other is sealed and followed by a
	// new one.
	r.goOn = last.groups == 0 && !last.dirty
	r.fold = len(r.needed()) > maxChain && len(db.state.Load().imms) == 0 && db.foldedSize() <= maxLogSize
	log, err := db.logs.complete(r)
	copied := r.fold && r.last == nil // or some were
	switch {
	case err == nil:
		db.logs.begin(log)
	case lacksRoom(err) && !copied:
		r.fold = false      // the logs stay as they are
		db.logs.pending = r // commits wait until there is room
		db.logs.makeErr = err
	default:
		db.logs.pending = r
		return err
	}
	return nil
}

// replay reads the manifest, and the logs from the oldest that it names, each
// of which names the next, up to the one that has no seal. It returns this last
// one, and the one before, if there is one.
func (db *DB) replay(files listing) (before, last *logReader, r *resumption, err error) {
	fail := func(err error) (*logReader, *logReader, *resumption, error) { return nil, nil, nil, err }
	m, err := readManifest(db.opts.FS, db.dir, slices.Max(files.manifests))
	if err != nil {
		return fail(err)
	}
	db.id = m.id
	db.logs.nextNo = max(m.nextFile, files.top+1)
	db.commits.seq = m.flushed
	db.installed.manifest = m
	db.installed.levels = [numLevels][]tableMeta{} // the tableSet has them
	db.installed.bad = true                        // it is not appended to (M4)
	if err := db.openTables(m); err != nil {
		return fail(err)
	}

	// Each log that is sealed names the next.
	r = &resumption{manifest: m}
	db.state.Load().mem.log = m.oldest
	for ref := m.oldest; ; ref = last.next {
		before = last
		last, err = db.replayLog(ref)
		if err != nil {
			return fail(err)
		}
		r.chain = append(r.chain, ref.no)
		if !last.sealed {
			break
		}
		if last.next.no <= ref.no {
			return fail(last.corrupt(last.end-sealLen, "the next log is an older one"))
		}
		if err := db.flushReplayed(r, last.next); err != nil {
			return fail(err)
		}
	}

	r.remove, err = db.strays(files, m, r.chain)
	return before, last, r, err
}

// strays returns the names of the files that are neither in the chain of logs
// nor named by m, and of all manifests. They are removed when the new manifest
// is durable.
func (db *DB) strays(files listing, m manifest, chain []uint64) (names []string, err error) {
	for _, no := range files.logs {
		if slices.Contains(chain, no) {
			continue
		}
		if no >= m.oldest.no {
			if err := db.checkStray(no); err != nil {
				return nil, err
			}
		}
		names = append(names, logName(no))
	}

	named := map[uint64]bool{}
	for _, tables := range m.levels {
		for i := range tables {
			named[tables[i].no] = true
		}
	}
	for _, no := range files.tables {
		if !named[no] {
			names = append(names, tableName(no))
		}
	}
	for _, no := range files.manifests {
		names = append(names, manifestName(no))
	}
	return names, nil
}

// openTables opens the tables that a manifest names.
func (db *DB) openTables(m manifest) error {
	v := &tableSet{id: 1}
	s := *db.state.Load()
	s.tables = v
	db.state.Store(&s) // so that a failed Open closes them
	for level, metas := range m.levels {
		for i := range metas {
			t, err := db.openTable(metas[i])
			if err != nil {
				return err
			}
			t.born = v.id
			v.levels[level] = append(v.levels[level], t)
		}
	}
	return nil
}

// flushReplayed makes the memtable immutable if it is full, and a table of it,
// so that Open needs no more memory than commits do. next is the log that is
// read next. Without room for the table the memtable stays.
func (db *DB) flushReplayed(r *resumption, next logRef) error {
	if !db.memtableFullLocked(0) {
		return nil
	}
	db.freeze(db.commits.seq, next)
	if db.opts.ReadOnly {
		return nil
	}

	// Memtables that lacked room before come first.
	for len(db.state.Load().imms) > 0 {
		mem := db.state.Load().imms[0]
		t, err := db.writeTable(mem, nil)
		if lacksRoom(err) || errors.Is(err, ErrTooLarge) {
			return nil
		}
		if err != nil {
			return err
		}

		// The manifest that Open writes will say so.
		after := db.manifestAfter(mem)
		r.manifest.oldest = after.oldest
		r.manifest.flushed = after.flushed
		db.replaceOldest(db.state.Load().tables.after(added(0, t)))
	}
	return nil
}

// replayLog reads a log into the memtable.
func (db *DB) replayLog(ref logRef) (*logReader, error) {
	db.files.closeAll() // Open does not read them again, and needs descriptors
	name := filepath.Join(db.dir, logName(ref.no))
	r, err := openLog(db.opts.FS, name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &CorruptError{File: name, Err: fs.ErrNotExist}
	}
	if err != nil {
		return nil, err
	}

	// The log must be the one that was named.
	if r.no != ref.no || r.nonce != ref.nonce || r.id != db.id {
		err = r.corrupt(0, "the file has the place of another")
	} else {
		next := func() uint64 { return db.commits.seq + 1 }
		err = r.read(next, func(h recordHead, body []byte, off int64) error { return db.apply(r, h, body, off) })
	}
	if err = errors.Join(err, r.f.Close()); err != nil {
		return nil, err
	}
	return r, nil
}

// apply puts the operations of a record into the memtable.
func (db *DB) apply(r *logReader, h recordHead, body []byte, off int64) error {
	mem := db.state.Load().mem
	n := uint32(0)
	for ; len(body) > 0; n++ {
		if body[0] > kindSet {
			return &versionError{r.name, fmt.Sprint("an operation of kind ", body[0])}
		}
		o, rest, ok := decodeOp(body)
		if !ok {
			return r.corrupt(off, "an operation is damaged")
		}
		if mem.arena.full() {
			return r.corrupt(off, "the log has more entries than a memtable can hold")
		}

		// Operations have the numbers that they had.
		db.commits.seq++
		mem.insert(o.key, o.value, db.commits.seq, o.kind)
		body = rest
	}
	if n != h.count {
		return r.corrupt(off, fmt.Sprintf("%d operations, want %d", n, h.count))
	}
	return nil
}

// preserve makes the recovered state durable, before anyone sees it.
//
// It may have been in the cache of the system only: a process was killed before
// it synced, or a sync has failed, after which the pages count as clean. So it
// is written again where it is, and then synced. A record in a log says that
// the log before is durable; a log without records does not.
func (db *DB) preserve(before, last *logReader, r *resumption) error {
	if err := db.opts.FS.SyncDir(db.dir); err != nil { // the names
		return err
	}

	// The seal of the log before may be all that says that this one exists.
	if before != nil && last.records == 0 {
		l, err := db.rewrite(before)
		if err != nil {
			return err
		}
		if err := l.f.Close(); err != nil {
			return err
		}
	}
	l, err := db.rewrite(last)
	r.last = l
	return err
}

// rewrite opens the log that r has read, and makes durable the part of it that
// may not be.
func (db *DB) rewrite(r *logReader) (*logFile, error) {
	f, err := db.opts.FS.OpenWrite(r.name)
	if err != nil {
		return nil, err
	}
	l := &logFile{
		f: f, name: r.name, no: r.no, nonce: r.nonce, salt: r.salt,
		size: r.end, off: r.end, records: r.records, data: r.groups > 0,
	}

	// The operating system may hold pages that failed to reach the disk and
	// count as clean: write them again.
	w := window{f: f, size: r.end}
	for off := r.synced; off < r.end && err == nil; off += windowLen {
		var b []byte
		if b, err = w.at(off, windowLen); err == nil {
			_, err = f.WriteAt(b, off)
		}
	}
	if err == nil {
		err = l.sync()
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return l, nil
}

// makeFirst fills in r.next, unless an attempt before did: the last log if it
// goes on, and otherwise a new one.
func (l *rotation) makeFirst(r *resumption) error {
	db := l.db
	if r.next != nil {
		return nil
	}
	if r.goOn && !r.fold {
		// Without room the log counts as full, and commits wait for the next.
		err := allocate(r.last.f, r.last.off, db.opts.LogSize)
		if err == nil {
			r.last.size = db.opts.LogSize
		}
		if err != nil && !lacksRoom(err) {
			return err
		}
		r.next = r.last
		r.last = nil
		return nil
	}

	size := db.opts.LogSize
	if r.fold {
		size = db.foldedSize()
	}
	next, err := l.create(size)
	if err != nil {
		return err
	}
	r.next = next
	return nil
}

// complete begins a log after the last one, if that holds anything, or if all
// of them are folded, writes a new manifest, and then removes files that
// nothing refers to. It returns the log to write. After an error it can be
// called again.
func (l *rotation) complete(r *resumption) (*logFile, error) {
	db := l.db
	if err := l.makeFirst(r); err != nil {
		return nil, err
	}

	// The seal of an attempt before may be there: it has the same bytes.
	if r.last != nil {
		off := r.last.off
		if err := r.last.seal(r.next, db.commits.seq+1); err != nil {
			r.last.off = off
			return nil, err
		}
		r.last = nil
	}
	if r.fold {
		if err := l.copyLive(r); err != nil {
			return nil, err
		}
	}

	// Logs whose content is in tables are not needed any more.
	kept := r.needed()
	m := r.manifest
	m.nextFile = db.logs.peekNumber()
	if err := db.installed.replace(m, db.state.Load().tables); err != nil {
		return nil, err
	}

	// The new manifest is durable: nothing needs these files any more. A file
	// that cannot be removed is a stray of the next Open.
	for _, no := range r.chain[:len(r.chain)-len(kept)] {
		r.remove = append(r.remove, logName(no))
	}
	for _, name := range r.remove {
		_ = db.opts.FS.Remove(filepath.Join(db.dir, name))
	}
	if r.next.no != r.chain[len(r.chain)-1] {
		kept = append(kept, r.next.no)
	}
	l.chain = kept
	return r.next, nil
}

// foldedSize returns how long a log must be that holds all that is live, in
// records of copyLen or more, with room for the commits after them.
func (db *DB) foldedSize() int64 {
	s := db.state.Load()
	live := s.mem.live(s.tables.count() > 0, opLen)
	return db.opts.LogSize + live + (live/copyLen+1)*groupExtra
}

// copyLive copies the live entries into the log that comes next, and makes that
// the oldest one. A crash on the way does no harm: the log before names this
// one, and the copies are commits that change nothing.
func (l *rotation) copyLive(r *resumption) error {
	db := l.db
	p := &db.commits
	flushed := p.seq
	rec := make([]byte, recordHeadLen)
	h := recordHead{kind: recordData}
	var err error

	// A record holds many copies, as a group of commits does.
	write := func() {
		if h.count == 0 || err != nil {
			return
		}
		h.first = p.seq + 1
		err = r.next.append(rec, h)
		p.seq += uint64(h.count)
		rec = rec[:recordHeadLen]
		h.count = 0
	}
	s := db.state.Load()
	s.mem.each(func(key, value []byte, trailer uint64, newest bool) {
		switch {
		case !newest, byte(trailer) == kindDelete && s.tables.count() == 0:
			return
		case byte(trailer) == kindDelete:
			rec = appendDelete(rec, key)
		default:
			rec = appendSet(rec, key, value)
		}
		if h.count++; len(rec) >= copyLen {
			write()
		}
	})
	write()

	// Damage of the copies is found from now on, also of a single record: it
	// holds commits that were acknowledged long ago.
	if err == nil {
		err = r.next.sync()
	}
	if err == nil && r.next.records > 0 {
		err = r.next.mark(p.seq + 1)
	}
	if err != nil {
		return err
	}

	// The old logs go when the manifest that names the new one is durable.
	p.visible.Store(p.seq)
	p.written = p.seq
	p.synced = p.seq
	r.manifest.oldest = logRef{r.next.no, r.next.nonce}
	r.manifest.flushed = flushed
	s.mem.log = r.manifest.oldest
	r.fold = false
	return nil
}
