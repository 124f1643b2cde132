// SPDX-License-Identifier: MIT

package lsm

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"path/filepath"
	"strconv"
	"strings"
)

// A manifest says which files make the database. There is one from the first moment on, made
// durable under another name and then renamed, and after the first log, so that a database without a
// manifest holds nothing. The one with the highest number counts.
//
// Today it names the oldest log that is needed, which is the first. The format has room for edits and
// for tables; a reader that meets a tag or version it does not know refuses the database.
type manifest struct {
	minLog uint64
}

const (
	manifestMagic   = "ashLSMm1"
	manifestVersion = 1
	manifestHead    = 16 // magic, version, zero
	editHead        = 24 // crc, length, number of the edit, crc of the edit before, zero

	tagMinLog = 1
)

func logName(no uint64) string      { return fmt.Sprintf("%06d.wal", no) }
func manifestName(no uint64) string { return fmt.Sprintf("MANIFEST-%06d", no) }

const (
	lockName = "LOCK"
	tmpName  = "MANIFEST.tmp"
)

// parseName returns the number in a name with a prefix or suffix, if it is such a name.
func parseName(name, prefix, suffix string) (no uint64, ok bool) {
	digits, ok1 := strings.CutPrefix(name, prefix)
	digits, ok2 := strings.CutSuffix(digits, suffix)
	no, err := strconv.ParseUint(digits, 10, 64)
	if !ok1 || !ok2 || err != nil || prefix+fmt.Sprintf("%06d", no)+suffix != name {
		return 0, false
	}
	return no, true
}

func (m manifest) encode() []byte {
	le := binary.LittleEndian
	b := append([]byte(manifestMagic), make([]byte, manifestHead-len(manifestMagic)+editHead)...)
	le.PutUint32(b[8:], manifestVersion)
	b = binary.AppendUvarint(b, tagMinLog)
	value := binary.AppendUvarint(nil, m.minLog)
	b = binary.AppendUvarint(b, uint64(len(value)))
	b = append(b, value...)
	edit := b[manifestHead:]
	le.PutUint32(edit[4:], uint32(len(edit)-editHead))
	le.PutUint32(edit, crc32.Checksum(b[4+manifestHead:], castagnoli)^crc32.Checksum(b[:manifestHead], castagnoli))
	return b
}

// decodeManifest decodes the bytes of the file name.
func decodeManifest(name string, b []byte) (m manifest, err error) {
	corrupt := func(off int, reason string) (manifest, error) {
		return manifest{}, &CorruptError{File: name, Offset: int64(off), Err: errors.New(reason)}
	}
	le := binary.LittleEndian
	if len(b) < manifestHead+editHead || string(b[:8]) != manifestMagic {
		return corrupt(0, "this is not a manifest")
	}
	edit := b[manifestHead:]
	n := int64(le.Uint32(edit[4:]))
	if n > int64(len(edit)-editHead) {
		return corrupt(manifestHead, "the file ends within an edit")
	}
	sum := crc32.Checksum(edit[4:editHead+n], castagnoli) ^ crc32.Checksum(b[:manifestHead], castagnoli)
	if sum != le.Uint32(edit) {
		return corrupt(manifestHead, "the checksum of an edit does not match")
	}
	if v := le.Uint32(b[8:]); v != manifestVersion {
		return manifest{}, &versionError{name, v}
	}
	if int(n) != len(edit)-editHead {
		return corrupt(manifestHead+editHead+int(n), "more follows than this version writes")
	}
	for fields := edit[editHead:]; len(fields) > 0; {
		tag, k := binary.Uvarint(fields)
		value, rest, ok := decodeBytes(fields[max(k, 0):])
		if k <= 0 || !ok {
			return corrupt(manifestHead, "a field is damaged")
		}
		if tag != tagMinLog {
			return manifest{}, &versionError{name, uint32(tag)}
		}
		if m.minLog, k = binary.Uvarint(value); k != len(value) || k <= 0 {
			return corrupt(manifestHead, "a field is damaged")
		}
		fields = rest
	}
	if m.minLog == 0 {
		return corrupt(manifestHead, "the oldest log is missing")
	}
	return m, nil
}

// write makes m the manifest with a number.
func (m manifest) write(fsys FS, dir string, no uint64) error {
	tmp, name := filepath.Join(dir, tmpName), filepath.Join(dir, manifestName(no))
	f, err := fsys.Create(tmp)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(m.encode(), 0)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := fsys.Rename(tmp, name); err != nil {
		return err
	}
	return fsys.SyncDir(dir)
}
