// SPDX-License-Identifier: MIT

package lsm

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// formatRows returns the cells of the table in FORMAT.md that is the first
// after a text.
func formatRows(t *testing.T, after string) (rows [][]string) {
	t.Helper()
	all, err := os.ReadFile("FORMAT.md")
	if err != nil {
		t.Fatal(err)
	}
	_, text, ok := strings.Cut(string(all), after)
	if !ok {
		t.Fatalf("FORMAT.md lacks %q", after)
	}

	_, text, _ = strings.Cut(text, "|---|")
	text, _, _ = strings.Cut(text, "\n\n")
	for line := range strings.Lines(text) {
		if row := strings.TrimSpace(line); strings.HasPrefix(row, "| ") {
			rows = append(rows, strings.Split(strings.Trim(row, "| "), " | "))
		}
	}
	return rows
}

// A formatLayout is a table of offsets in FORMAT.md.
type formatLayout [][]string

// readLayout returns the layout after a text. Each field with a number begins
// where the one before ends, and the fields before end take so many bytes.
func readLayout(t *testing.T, after string, end int) formatLayout {
	t.Helper()
	rows := formatRows(t, after)
	next := 0
	for _, row := range rows {
		off, err := strconv.Atoi(row[0])
		if err != nil {
			break
		}
		if off != next {
			t.Errorf("%s: %q begins at %d, want %d", after, row[2], off, next)
		}
		n, err := strconv.Atoi(row[1])
		if err != nil {
			break
		}
		next += n
	}
	if next != end {
		t.Errorf("%s: %d bytes, want %d", after, next, end)
	}
	return rows
}

// number returns the field of b whose content begins so.
func (l formatLayout) number(t *testing.T, b []byte, content string) uint64 {
	t.Helper()
	for _, row := range l {
		if strings.HasPrefix(row[2], content) {
			off, _ := strconv.Atoi(row[0])
			n, _ := strconv.Atoi(row[1])
			return binary.LittleEndian.Uint64(append(bytes.Clone(b[off:off+n]), make([]byte, 8)...))
		}
	}
	t.Fatalf("no field %q", content)
	return 0
}

// formatNumbers returns the first cells of a table.
func formatNumbers(t *testing.T, after string) (list []int) {
	t.Helper()
	for _, row := range formatRows(t, after) {
		n, err := strconv.Atoi(row[0])
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, n)
	}
	return list
}

// TestFormatKinds checks that the kinds, tags and flags that FORMAT.md lists
// are those that are known, and all others ErrVersion.
func TestFormatKinds(t *testing.T) {
	r := &logReader{name: "log"}
	var records, operations, fields, props []int
	for k := range 256 {
		for _, body := range [][]byte{nil, make([]byte, 16)} {
			err := r.known(recordHead{kind: byte(k)}, body)
			if err == nil && !slices.Contains(records, k) {
				records = append(records, k)
			} else if err != nil && !errors.Is(err, ErrVersion) {
				t.Errorf("a record of kind %d: %v", k, err)
			}
		}
		if _, _, ok := decodeOp([]byte{byte(k), 0, 0}); ok {
			operations = append(operations, k)
		}
	}
	for tag := range tagMayGo {
		m := &manifestReader{name: "manifest"}
		if err := m.field(uint64(tag), []byte{numLevels}); tag == tagAdd || tag == tagRemove || !errors.Is(err, ErrVersion) {
			fields = append(fields, tag)
		}
		if _, err := parseProps(appendField(nil, uint64(tag), []byte{1})); !errors.Is(err, errUnknown) {
			props = append(props, tag)
		}
	}

	for after, want := range map[string][]int{
		"| kind of record":    records,
		"| kind of operation": operations,
		"| tag of a manifest": fields,
		"| tag of a table":    props,
	} {
		if got := formatNumbers(t, after); !slices.Equal(got, want) {
			t.Errorf("FORMAT.md lists %d at %q, known are %d", got, after, want)
		}
	}
	flags := 0
	for _, f := range formatNumbers(t, "| flag |") {
		flags |= f
	}
	if flags != allFlags {
		t.Errorf("FORMAT.md lists flags %b, known are %b", flags, allFlags)
	}
}

// TestFormatLayouts reads the golden files at the offsets that FORMAT.md says.
// The textbook repeats them, so it does not see a mistake of the page.
func TestFormatLayouts(t *testing.T) {
	header := readLayout(t, "## Header", 40)
	record := readLayout(t, "A record begins", recordHeadLen)
	edit := readLayout(t, "An edit begins", editHeadLen)
	footer := readLayout(t, "The footer is", footerLen)
	data := readLayout(t, "### Data block", blockHeadLen)
	index := readLayout(t, "### Index", 8)
	filter := readLayout(t, "### Filter", filterHeadLen)

	files, err := filepath.Glob("testdata/v1*/*")
	if err != nil || len(files) < 5 {
		t.Fatal(files, err)
	}
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		base := filepath.Base(name)
		switch {
		case strings.HasSuffix(base, ".sst"):
			formatTable(t, name, b, footer, data, index, filter)
		case strings.HasSuffix(base, ".wal"):
			formatFile(t, name, b, logHeaderLen, header, record)
		default:
			formatFile(t, name, b, manifestHeaderLen, header, edit)
		}
	}
}

// formatFile reads a log or manifest that ends with its last record or edit.
func formatFile(t *testing.T, name string, b []byte, head int, header, record formatLayout) {
	t.Helper()
	id, no, nonce := header.number(t, b, "id"), header.number(t, b, "number"), header.number(t, b, "nonce")
	f := &textFile{b: b, salt: textMix(textMix(id) + nonce + no*0x9e3779b97f4a7c15)}
	if header.number(t, b, "version") != 1 || header.number(t, b, "CRC-32C") != uint64(headerSum(b[:head])) || !strings.Contains(name, strconv.FormatUint(no, 10)) {
		t.Errorf("%s: the header is not as in FORMAT.md", name)
	}

	// Each record has both sums, and a kind.
	fixed, _ := strconv.Atoi(record[len(record)-2][0])
	for off := head; off < len(b); {
		rec := b[off:]
		n := int(record.number(t, rec, "length of the body"))
		end := off + fixed + (n+7)/8*8
		if end > len(b) {
			t.Fatalf("%s: a record at %d has %d bytes", name, off, n)
		}
		if record.number(t, rec, "sum of bytes 4") != uint64(f.sum(off+4, off+fixed, off)) || record.number(t, rec, "sum of the body") != uint64(f.sum(off+fixed, end, off+fixed)) {
			t.Errorf("%s: the sums at %d are not as in FORMAT.md", name, off)
		}
		if k := record.number(t, rec, "kind"); k < 1 || k > 4 || record.number(t, rec, "zero") != 0 {
			t.Errorf("%s: kind %d at %d", name, k, off)
		}
		off = end
	}
}

// formatTable reads the sections of a table.
func formatTable(t *testing.T, name string, b []byte, foot, data, index, filter formatLayout) {
	t.Helper()
	end := b[len(b)-footerLen:]
	f := &textFile{b: b, salt: textMix(foot.number(t, end, "nonce"))}
	var offsets []int
	for _, s := range []string{"filter", "index", "properties", "footer"} {
		offsets = append(offsets, int(foot.number(t, end, "offset of the "+s)))
	}
	if offsets[3] != len(b)-footerLen || foot.number(t, end, "version") != 1 {
		t.Fatalf("%s: the footer is not as in FORMAT.md", name)
	}

	// A section ends with how many zeros are before, and its sum.
	for i, off := range offsets[:3] {
		tail := offsets[i+1] - 8
		if got := binary.LittleEndian.Uint32(b[tail+4:]); got != f.sum(off, tail+4, off) {
			t.Errorf("%s: the sum of the section at %d is not as in FORMAT.md", name, off)
		}
	}
	lines := filter.number(t, b[offsets[0]:], "n, ")
	if want := uint64(offsets[1]-offsets[0]) - 8 - filterHeadLen; lines*64 != want || filter.number(t, b[offsets[0]:], "hash") != 1 {
		t.Errorf("%s: %d lines in %d bytes of a filter", name, lines, want)
	}
	blocks := int(index.number(t, b[offsets[1]:], "n"))
	if ends := b[offsets[1]+8+8*blocks:]; 8*int(binary.LittleEndian.Uint32(ends[4*blocks-4:])) != offsets[0] {
		t.Errorf("%s: the last block does not end where the filter begins", name)
	}
	if n := data.number(t, b, "n, "); n == 0 || data.number(t, b, "flags") > allFlags {
		t.Errorf("%s: a block of %d entries", name, n)
	}
}
