// SPDX-License-Identifier: MIT

package lsm

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// A manifest names the files of a database. FORMAT.md has the format.
//
//	M1  A database without a manifest holds nothing: the first one is made
//	    after the first log.
//	M2  What a manifest names is durable before the manifest is.
//	M3  A new manifest is written under another name, synced, renamed, and
//	    its directory synced. Its number is above every one tried.
//	M4  A manifest that was read is never appended to: every Open that may
//	    write makes a new one, and only then removes anything.
//	M5  The one with the highest number counts. Its first edit is a valid
//	    snapshot; the first invalid edit ends it, unless a valid one follows.
//	M6  An edit is synced before the next one is written, before it is applied
//	    in memory, and before a file is removed because of it.
//	M7  After a failed write or sync nothing is written to that file any more:
//	    a new manifest has the state after the edit, which the old one may have
//	    or not.
//	M8  No file is longer than the next Open reads: before it is, a new one has
//	    the state, and a table that even that has no room for is not written.
//
// An edit says where something lies, never what it is: that is in the logs
// first. So an older state of which all files are there has the same content.
type manifest struct {
	fileHeader
	edit     uint64 // number of the last edit, over all manifests
	oldest   logRef // the oldest log that is needed
	flushed  uint64 // the last sequence that is in tables, which is before the first in that log
	nextFile uint64 // numbers of all files are below

	levels [numLevels][]tableMeta // in the order of a [tableSet]; only in a manifest that was read, or is being written
}

// A tableMeta is what a manifest knows of a table.
type tableMeta struct {
	no, size, nonce   uint64
	entries, deletes  uint64
	minSeq, maxSeq    uint64
	smallest, largest []byte
}

const (
	manifestMagic      = "ashlarmf"
	unreleasedManifest = "ashLSMm1" // never released
	manifestHeaderLen  = 48
	editHeadLen        = 32
	maxManifestLen     = 1 << 30
	maxFileNo          = 1 << 62   // names with higher numbers are not ours: numbers must not overflow
	maxEdit            = 1 << 62   // nor must those of edits
	maxSeq             = 1<<56 - 1 // entries have it beside their kind
	maxFlushed         = 1 << 55   // what is read is lower, so that maxSeq is never reached

	editSnapshot = 1 // the whole state
	editChange   = 2

	tagOldest   = 1
	tagFlushed  = 2
	tagNextFile = 3
	tagAdd      = 4  // a table
	tagRemove   = 5  // a table
	tagMayGo    = 32 // tags from here on may be skipped
)

const (
	lockName = "LOCK"
	tmpName  = "MANIFEST.tmp"
)

func logName(no uint64) string      { return fmt.Sprintf("%06d.wal", no) }
func tableName(no uint64) string    { return fmt.Sprintf("%06d.sst", no) }
func manifestName(no uint64) string { return fmt.Sprintf("MANIFEST-%06d", no) }

// parseName returns the number in a name with a prefix and suffix, if it is
// such a name.
func parseName(name, prefix, suffix string) (no uint64, ok bool) {
	digits := strings.TrimSuffix(strings.TrimPrefix(name, prefix), suffix)
	no, _ = strconv.ParseUint(digits, 10, 64)

	// A name without a number is parsed as 0, and is not the name of 0.
	if no > maxFileNo || prefix+fmt.Sprintf("%06d", no)+suffix != name {
		return 0, false
	}
	return no, true
}

// A listing is the files of a directory that belong to a database, by number.
type listing struct {
	logs, tables, manifests []uint64
	top                     uint64 // the highest number of a log or table
}

// list returns the files in dir.
func list(fsys FS, dir string) (l listing, err error) {
	names, err := fsys.List(dir)
	if err != nil {
		return l, err
	}
	for _, name := range names {
		if no, ok := parseName(name, "", ".wal"); ok {
			l.logs = append(l.logs, no)
			l.top = max(l.top, no)
		}
		if no, ok := parseName(name, "MANIFEST-", ""); ok {
			l.manifests = append(l.manifests, no)
		}
		if no, ok := parseName(name, "", ".sst"); ok {
			l.tables = append(l.tables, no)
			l.top = max(l.top, no)
		}
	}
	return l, nil
}

// encode returns the bytes of a file with one edit, a snapshot of m.
func (m *manifest) encode() []byte {
	b := m.fileHeader.encode(manifestMagic, manifestHeaderLen)
	body := m.appendFields(nil)
	for level := range m.levels {
		for i := range m.levels[level] {
			body = appendField(body, tagAdd, m.levels[level][i].appendTo(nil, level))
		}
	}
	edit := encodeEdit(body, editHead{kind: editSnapshot, number: m.edit}, m.salt(), manifestHeaderLen)
	return append(b, edit...)
}

// salt returns the salt of the checksums.
func (m *manifest) salt() uint64 { return fileSalt(m.id, m.no, m.nonce) }

// appendFields appends the fields of m, except those of tables.
func (m *manifest) appendFields(b []byte) []byte {
	b = appendField(b, tagOldest, binary.LittleEndian.AppendUint64(binary.AppendUvarint(nil, m.oldest.no), m.oldest.nonce))
	b = appendField(b, tagFlushed, binary.AppendUvarint(nil, m.flushed))
	return appendField(b, tagNextFile, binary.AppendUvarint(nil, m.nextFile))
}

// appendTo appends the fields of c.
func (c *change) appendTo(b []byte) []byte {
	for _, t := range c.removed {
		b = appendField(b, tagRemove, binary.AppendUvarint(binary.AppendUvarint(nil, uint64(t.level)), t.no))
	}
	for _, t := range c.added {
		b = appendField(b, tagAdd, t.tableMeta.appendTo(nil, t.level))
	}
	return b
}

// appendTo appends the value of the field that adds t to a level.
func (t *tableMeta) appendTo(b []byte, level int) []byte {
	b = binary.AppendUvarint(b, uint64(level))
	b = binary.AppendUvarint(b, t.no)
	b = binary.AppendUvarint(b, t.size)
	b = binary.LittleEndian.AppendUint64(b, t.nonce)
	for _, n := range []uint64{t.entries, t.deletes, t.minSeq, t.maxSeq} {
		b = binary.AppendUvarint(b, n)
	}
	b = appendBytes(b, t.smallest)
	return appendBytes(b, t.largest)
}

const (
	snapshotLen   = manifestHeaderLen + editHeadLen + 64 // of a file without tables, at most
	tableFieldLen = 80                                   // of a field that adds a table, beside its keys, at most
)

// fieldBound returns a bound of the length of the field that adds t.
func (t *tableMeta) fieldBound() int64 { return tableFieldLen + int64(len(t.smallest)+len(t.largest)) }

// equal reports whether t and other say the same.
func (t *tableMeta) equal(other *tableMeta) bool {
	return bytes.Equal(t.appendTo(nil, 0), other.appendTo(nil, 0))
}

// parseTableMeta decodes the value of a field that adds a table.
func parseTableMeta(b []byte) (level int, t tableMeta, err error) {
	level, b, err = parseLevel(b)
	if err != nil {
		return 0, t, err
	}

	// A number that is not valid leaves nothing for the next one.
	var ok bool
	t.no, b, _ = cutUvarint(b, math.MaxUint64)
	t.size, b, ok = cutUvarint(b, maxTableLen)
	if !ok || len(b) < 8 {
		return 0, t, errDamaged
	}
	t.nonce, b = binary.LittleEndian.Uint64(b), b[8:]
	for _, n := range []*uint64{&t.entries, &t.deletes, &t.minSeq, &t.maxSeq} {
		*n, b, ok = cutUvarint(b, math.MaxUint64)
	}
	var ok1, ok2 bool
	t.smallest, b, ok1 = decodeBytes(b)
	t.largest, b, ok2 = decodeBytes(b)
	if !ok || !ok1 || !ok2 || len(b) > 0 || t.no == 0 {
		return 0, t, errDamaged
	}

	// The window that they lie in moves on.
	t.smallest = bytes.Clone(t.smallest)
	t.largest = bytes.Clone(t.largest)
	return level, t, nil
}

// parseLevel decodes a level at the start of b, and returns the rest.
func parseLevel(b []byte) (level int, rest []byte, err error) {
	n, rest, ok := cutUvarint(b, math.MaxUint64)
	switch {
	case !ok:
		return 0, nil, errDamaged
	case n >= numLevels:
		return 0, nil, errUnknown
	}
	return int(n), rest, nil
}

// appendField appends a field of an edit.
func appendField(b []byte, tag uint64, value []byte) []byte {
	b = binary.AppendUvarint(b, tag)
	b = binary.AppendUvarint(b, uint64(len(value)))
	return append(b, value...)
}

// An editHead is the decoded header of an edit.
type editHead struct {
	kind    byte
	unknown bool   // bytes are set that this version writes as zero
	sum     uint32 // of the header, which the next edit repeats
	bodySum uint32
	bodyLen uint32
	chain   uint32 // sum of the edit before, 0 for the first
	number  uint64
}

// encodeEdit returns the bytes of an edit, which will stand at off.
func encodeEdit(body []byte, h editHead, salt uint64, off int64) []byte {
	le := binary.LittleEndian
	e := append(make([]byte, editHeadLen), body...)
	for len(e)%8 != 0 {
		e = append(e, 0)
	}

	// The head has the checksum of the body, and one of itself.
	le.PutUint32(e[4:], checksum(e[editHeadLen:], salt, off+editHeadLen))
	le.PutUint32(e[8:], uint32(len(body)))
	le.PutUint32(e[12:], h.chain)
	le.PutUint64(e[16:], h.number)
	e[24] = h.kind
	le.PutUint32(e, checksum(e[4:editHeadLen], salt, off))
	return e
}

// parseEditHead decodes the header of an edit at the start of b. ok is false
// if it is not one.
func parseEditHead(b []byte, salt uint64, off int64) (h editHead, ok bool) {
	le := binary.LittleEndian
	if len(b) < editHeadLen || b[24] == 0 || le.Uint32(b) != checksum(b[4:editHeadLen], salt, off) {
		return editHead{}, false
	}
	return editHead{
		kind:    b[24],
		unknown: !allZero(b[25:editHeadLen]),
		sum:     le.Uint32(b),
		bodySum: le.Uint32(b[4:]),
		bodyLen: le.Uint32(b[8:]),
		chain:   le.Uint32(b[12:]),
		number:  le.Uint64(b[16:]),
	}, true
}

// A manifestReader reads a manifest.
type manifestReader struct {
	*window
	name string
	salt uint64
	m    manifest
	end  int64 // of the valid edits
	last editHead

	tables   []*namedTable          // in the order in which they were added
	byNumber map[uint64]*namedTable // those that are there
	seq      uint64                 // the highest of a table of level 0
	highest  uint64                 // of any table
	top      uint64                 // the highest number of a table
}

// A namedTable is a table that an edit adds.
type namedTable struct {
	level int
	tableMeta
}

// readManifest reads the manifest with a number.
func readManifest(fsys FS, dir string, no uint64) (m manifest, err error) {
	name := filepath.Join(dir, manifestName(no))
	w, err := openWindow(fsys, name)
	if err != nil {
		return m, err
	}
	r := &manifestReader{window: w, name: name, byNumber: map[uint64]*namedTable{}}
	err = errors.Join(r.read(no), w.f.Close())
	return r.m, err
}

// read reads the edits.
func (r *manifestReader) read(no uint64) error {
	if r.size > maxManifestLen {
		return corrupt(r.name, maxManifestLen, "the file is longer than a manifest can be")
	}
	b, err := r.at(0, manifestHeaderLen)
	if err != nil {
		return err
	}
	r.m.fileHeader, err = parseHeader(r.name, b, manifestHeaderLen, manifestMagic, unreleasedManifest)
	if err != nil {
		return err
	}
	if r.m.no != no {
		return corrupt(r.name, 0, "the file has the place of another")
	}

	// The first edit is a snapshot, and each further one changes it.
	r.salt = fileSalt(r.m.id, r.m.no, r.m.nonce)
	for r.end = manifestHeaderLen; ; {
		n, err := r.edit()
		if err != nil {
			return err
		}
		if n == 0 {
			return errors.Join(r.tail(), r.sortLevels())
		}
		r.end += n
	}
}

// edit applies the edit at the end of those before, and returns its length: 0
// if there is no valid one.
func (r *manifestReader) edit() (n int64, err error) {
	b, err := r.at(r.end, editHeadLen)
	if err != nil {
		return 0, err
	}
	h, ok := parseEditHead(b, r.salt, r.end)
	if !ok {
		return 0, nil
	}

	// The head is valid, so the length is the one that was written.
	n = editHeadLen + padded(int64(h.bodyLen))
	b, err = r.at(r.end, n)
	if err != nil {
		return 0, err
	}
	if int64(len(b)) < n || checksum(b[editHeadLen:], r.salt, r.end+editHeadLen) != h.bodySum {
		return 0, nil
	}

	// A valid edit in the wrong place is damage, not the end.
	first := r.last.kind == 0
	switch {
	case h.unknown || h.kind > editChange:
		return 0, &versionError{r.name, fmt.Sprintf("an edit of kind %d with fields that are not known", h.kind)}
	case first != (h.kind == editSnapshot):
		return 0, corrupt(r.name, r.end, "a snapshot is the first edit and only that")
	case h.chain != r.last.sum || !first && h.number != r.last.number+1:
		return 0, corrupt(r.name, r.end, "an edit does not follow the one before")
	case h.number > maxEdit:
		return 0, corrupt(r.name, r.end, "the number of an edit is too high")
	}
	r.last = h
	r.m.edit = h.number
	return n, r.fields(b[editHeadLen:editHeadLen+int64(h.bodyLen)], first)
}

// fields applies the fields of an edit.
func (r *manifestReader) fields(b []byte, snapshot bool) error {
	var seen [tagMayGo]bool
	for len(b) > 0 {
		tag, rest, ok := cutUvarint(b, math.MaxUint64)
		if !ok {
			return r.damaged()
		}
		value, rest, ok := decodeBytes(rest)
		if !ok {
			return r.damaged()
		}
		b = rest
		if tag >= tagMayGo {
			continue
		}

		// A table is one of several, and everything else comes once.
		if seen[tag] && tag != tagAdd && tag != tagRemove {
			return r.damaged()
		}
		seen[tag] = true
		if err := r.field(tag, value); err != nil {
			return err
		}
	}

	// A snapshot names everything, and a log is named with its first operation.
	if snapshot && !(seen[tagOldest] && seen[tagFlushed] && seen[tagNextFile]) || seen[tagOldest] != seen[tagFlushed] {
		return corrupt(r.name, r.end, "a field is missing")
	}
	if r.highest > r.m.flushed || max(r.top, r.m.oldest.no) >= r.m.nextFile {
		return corrupt(r.name, r.end, "the files do not fit to the rest")
	}
	return nil
}

// damaged returns the error of a field that cannot be decoded.
func (r *manifestReader) damaged() error { return corrupt(r.name, r.end, "a field is damaged") }

// field applies a field of an edit.
func (r *manifestReader) field(tag uint64, value []byte) error {
	switch tag {
	case tagAdd:
		return r.addTable(value)
	case tagRemove:
		return r.removeTable(value)
	}

	// Every other field begins with a number.
	x, value, ok := cutUvarint(value, math.MaxUint64)
	switch {
	case !ok:
		return r.damaged()
	case tag == tagOldest:
		if len(value) != 8 || x == 0 {
			return r.damaged()
		}
		r.m.oldest = logRef{x, binary.LittleEndian.Uint64(value)}
		return nil
	case tag == tagFlushed && x <= maxFlushed:
		r.m.flushed = x
	case tag == tagNextFile && x <= maxFileNo:
		r.m.nextFile = x
	case tag == tagFlushed, tag == tagNextFile:
		return r.damaged()
	default:
		return &versionError{r.name, fmt.Sprintf("a field with tag %d", tag)}
	}
	if len(value) > 0 {
		return r.damaged()
	}
	return nil
}

// levelError returns err, which parseLevel has given, as one about the file.
func (r *manifestReader) levelError(err error) error {
	if errors.Is(err, errUnknown) {
		return &versionError{r.name, "a table on a level below the last"}
	}
	return r.damaged()
}

// addTable applies the field that adds a table. On level 0, its sequences come
// after those of all before.
func (r *manifestReader) addTable(value []byte) error {
	level, meta, err := parseTableMeta(value)
	if err != nil {
		return r.levelError(err)
	}
	t := &namedTable{level, meta}
	fits := t.minSeq <= t.maxSeq && r.byNumber[t.no] == nil && bytes.Compare(t.smallest, t.largest) <= 0
	if !fits || level == 0 && t.minSeq <= r.seq {
		return corrupt(r.name, r.end, fmt.Sprintf("table %d does not fit to the others", t.no))
	}

	if level == 0 {
		r.seq = t.maxSeq
	}
	r.tables = append(r.tables, t)
	r.byNumber[t.no] = t
	r.highest = max(r.highest, t.maxSeq)
	r.top = max(r.top, t.no)
	return nil
}

// removeTable applies the field that removes a table.
func (r *manifestReader) removeTable(value []byte) error {
	level, value, err := parseLevel(value)
	if err != nil {
		return r.levelError(err)
	}
	no, value, ok := cutUvarint(value, math.MaxUint64)
	if !ok || len(value) > 0 {
		return r.damaged()
	}
	t := r.byNumber[no]
	if t == nil || t.level != level {
		return corrupt(r.name, r.end, fmt.Sprintf("table %d goes, and was not there", no))
	}
	delete(r.byNumber, no)
	return nil
}

// sortLevels puts the tables that are left into their levels.
func (r *manifestReader) sortLevels() error {
	for _, t := range r.tables {
		if r.byNumber[t.no] == t {
			r.m.levels[t.level] = append(r.m.levels[t.level], t.tableMeta)
		}
	}
	for level, tables := range r.m.levels[1:] {
		slices.SortFunc(tables, func(a, b tableMeta) int { return bytes.Compare(a.smallest, b.smallest) })
		for i := 1; i < len(tables); i++ {
			if bytes.Compare(tables[i-1].largest, tables[i].smallest) >= 0 {
				return corrupt(r.name, r.end, fmt.Sprintf("tables of level %d overlap", level+1))
			}
		}
	}
	return nil
}

// tail returns an error if the valid edits do not end the file as a crash
// would: the first is missing, or one follows.
func (r *manifestReader) tail() error {
	if r.last.kind == 0 {
		return corrupt(r.name, r.end, "there is no valid snapshot")
	}

	const step = windowLen - editHeadLen              // heads may lie across windows
	for off := r.end + 8; off < r.size; off += step { // an edit that is cut has its own head
		b, err := r.at(off, windowLen)
		if err != nil {
			return err
		}
		for i := 0; i+editHeadLen <= len(b); i += 8 {
			if binary.LittleEndian.Uint64(b[i+16:]) <= r.m.edit {
				continue // zeros end here, before a checksum is computed
			}
			if _, ok := parseEditHead(b[i:], r.salt, off+int64(i)); ok {
				return corrupt(r.name, r.end, "an edit is damaged")
			}
		}
	}
	return nil
}
