// SPDX-License-Identifier: MIT

package bloom

import (
	"bytes"
	"encoding/binary"
	"testing"

	arrow "github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/schema"
	"github.com/parquet-go/parquet-go"

	ashlar "github.com/ashlar-go/ashlar/bloom"
)

// parquetKeys is the number of keys in a column whose filter is exchanged.
const parquetKeys = 10_000

// TestParquetFiles exchanges filters with the two Parquet libraries of Go. Each
// writes a file with a column of integers and its filter. We read that filter;
// then a filter of ours takes its place in the file, with other keys, and the
// library reads the file.
func TestParquetFiles(t *testing.T) {
	for _, lib := range []struct {
		name  string
		write func(t *testing.T) (f []byte, filterAt int64)
		read  func(t *testing.T, f []byte) (check func(key int64) bool)
	}{
		{"parquet-go", writeParquetGo, readParquetGo},
		{"arrow-go", writeArrow, readArrow},
	} {
		t.Run(lib.name, func(t *testing.T) {
			f, at := lib.write(t)
			theirs, rest, err := ashlar.ParseParquet(f[at:])
			if err != nil {
				t.Fatalf("ParseParquet: %v", err)
			}
			for key := range int64(parquetKeys) {
				if !theirs.HasUint64(uint64(key)) {
					t.Fatalf("their filter, read by us, lost %d", key)
				}
			}

			n, opts := 1, &ashlar.SplitBlockOptions{AnySize: true}
			for ashlar.NewSplitBlock(n, 0.01, opts).Bits() < theirs.Bits() {
				n += 20
			}
			ours := ashlar.NewSplitBlock(n, 0.01, opts)
			for key := range int64(n) {
				ours.AddUint64(uint64(-1 - key))
			}
			stored := ours.AppendParquet(nil)
			if taken := len(f) - int(at) - len(rest); len(stored) != taken {
				t.Fatalf("ours takes %d bytes, theirs %d", len(stored), taken)
			}
			copy(f[at:], stored)

			check := lib.read(t, f)
			for key := range int64(n) {
				if !check(-1 - key) {
					t.Fatalf("our filter, read by them, lost %d", -1-key)
				}
			}
			for key := range int64(parquetKeys) {
				if got, want := check(key), ours.HasUint64(uint64(key)); got != want {
					t.Fatalf("they answer %t for %d, we %t", got, key, want)
				}
			}
		})
	}
}

type parquetRow struct {
	Key int64 `parquet:"key"`
}

func writeParquetGo(t *testing.T) (f []byte, filterAt int64) {
	t.Helper()
	var buf bytes.Buffer
	w := parquet.NewGenericWriter[parquetRow](&buf, parquet.BloomFilters(parquet.SplitBlockFilter(13, "key")))
	rows := make([]parquetRow, parquetKeys)
	for i := range rows {
		rows[i].Key = int64(i)
	}
	if _, err := w.Write(rows); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}

	r, err := parquet.OpenFile(bytes.NewReader(buf.Bytes()), int64(buf.Len()))
	if err != nil {
		t.Fatal(err)
	}
	return buf.Bytes(), r.Metadata().RowGroups[0].Columns[0].MetaData.BloomFilterOffset
}

func readParquetGo(t *testing.T, f []byte) (check func(key int64) bool) {
	t.Helper()
	r, err := parquet.OpenFile(bytes.NewReader(f), int64(len(f)))
	if err != nil {
		t.Fatal(err)
	}
	filter := r.RowGroups()[0].ColumnChunks()[0].BloomFilter()
	return func(key int64) bool {
		found, err := filter.Check(parquet.Int64Value(key))
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
}

func writeArrow(t *testing.T) (f []byte, filterAt int64) {
	t.Helper()
	column := schema.NewInt64Node("key", arrow.Repetitions.Required, -1)
	root, err := schema.NewGroupNode("rows", arrow.Repetitions.Required, schema.FieldList{column}, -1)
	if err != nil {
		t.Fatal(err)
	}
	var buf bytes.Buffer
	w := file.NewParquetWriter(&buf, root, file.WithWriterProps(arrow.NewWriterProperties(
		arrow.WithBloomFilterEnabled(true), arrow.WithBloomFilterNDV(parquetKeys), arrow.WithBloomFilterFPP(0.01))))
	rows := w.AppendRowGroup()
	chunk, err := rows.NextColumn()
	if err != nil {
		t.Fatal(err)
	}
	keys := make([]int64, parquetKeys)
	for i := range keys {
		keys[i] = int64(i)
	}
	if _, err := chunk.(*file.Int64ColumnChunkWriter).WriteBatch(keys, nil, nil); err != nil {
		t.Fatal(err)
	}
	for _, end := range []func() error{chunk.Close, rows.Close, w.Close} {
		if err := end(); err != nil {
			t.Fatal(err)
		}
	}

	meta, err := openArrow(t, buf.Bytes()).MetaData().RowGroup(0).ColumnChunk(0)
	if err != nil {
		t.Fatal(err)
	}
	return buf.Bytes(), meta.BloomFilterOffset()
}

func openArrow(t *testing.T, f []byte) *file.Reader {
	t.Helper()
	r, err := file.NewParquetReader(bytes.NewReader(f))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func readArrow(t *testing.T, f []byte) (check func(key int64) bool) {
	t.Helper()
	group, err := openArrow(t, f).GetBloomFilterReader().RowGroup(0)
	if err != nil {
		t.Fatal(err)
	}
	filter, err := group.GetColumnBloomFilter(0)
	if err != nil {
		t.Fatal(err)
	}
	return func(key int64) bool {
		return filter.CheckHash(filter.Hasher().Sum64(binary.LittleEndian.AppendUint64(nil, uint64(key))))
	}
}
