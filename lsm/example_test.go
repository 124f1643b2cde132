// SPDX-License-Identifier: MIT

package lsm_test

import (
	"bytes"
	"compress/flate"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"expvar"
	"fmt"
	"hash/crc32"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"github.com/ashlar-go/ashlar/lsm"
)

// must ends an example that cannot go on.
func must(err error) {
	if err != nil {
		panic(err)
	}
}

// open opens a database in memory, so that the examples leave nothing behind.
func open(o lsm.Options) *lsm.DB {
	if o.FS == nil {
		o.FS = lsm.NewMemFS()
	}
	db, err := lsm.Open("data", &o)
	must(err)
	return db
}

// The program of the package comment.
func Example() {
	dir, err := os.MkdirTemp("", "lsm-example-")
	must(err)
	defer os.RemoveAll(dir)

	db, err := lsm.Open(filepath.Join(dir, "data"), nil)
	if err != nil {
		panic(err)
	}
	err = db.Set([]byte("user:1"), []byte("alice")) // nil: it is on the disk
	name, _ := db.Get([]byte("user:1"))
	fmt.Println(string(name), err, db.Close())
	// Output: alice <nil> <nil>
}

func ExampleDB() {
	fsys := lsm.NewMemFS() // leave Options.FS away for files on disk
	// region quickstart
	db, err := lsm.Open("data", &lsm.Options{FS: fsys})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer db.Close()

	if err := db.Set([]byte("user:1"), []byte("alice")); err != nil { // on disk when it returns
		fmt.Println(err)
		return
	}
	name, err := db.Get([]byte("user:1"))
	fmt.Printf("%s %v\n", name, err)
	_, err = db.Get([]byte("user:2"))
	fmt.Println(errors.Is(err, lsm.ErrNotFound))
	// endregion quickstart
	// Output:
	// alice <nil>
	// true
}

func ExampleOpen() {
	fsys := lsm.NewMemFS()
	_, err := lsm.Open("data", &lsm.Options{FS: fsys, ErrorIfMissing: true})
	fmt.Println(err)

	db, err := lsm.Open("data", &lsm.Options{FS: fsys})
	must(err)
	must(db.Set([]byte("a"), []byte("1")))
	_, err = lsm.Open("data", &lsm.Options{FS: fsys})
	fmt.Println(errors.Is(err, lsm.ErrLocked))
	must(db.Close())

	db, err = lsm.Open("data", &lsm.Options{FS: fsys, ReadOnly: true})
	must(err)
	v, err := db.Get([]byte("a"))
	fmt.Println(string(v), err, db.Set([]byte("b"), nil))
	must(db.Close())
	// Output:
	// lsm: open data: file does not exist
	// true
	// 1 <nil> lsm: read-only
}

func ExampleDB_Get() {
	db := open(lsm.Options{})
	defer db.Close()
	must(db.Set([]byte("empty"), nil))
	v, err := db.Get([]byte("empty")) // an empty value is not a missing one
	fmt.Println(len(v), err)
	_, err = db.Get([]byte("missing"))
	fmt.Println(err)
	// Output:
	// 0 <nil>
	// lsm: not found
}

func ExampleDB_AppendGet() {
	db := open(lsm.Options{})
	defer db.Close()
	must(db.Set([]byte("a"), []byte("1")))
	must(db.Set([]byte("b"), []byte("22")))
	var buf []byte
	for _, key := range []string{"a", "b"} {
		var err error
		buf, err = db.AppendGet(buf[:0], []byte(key)) // one buffer for all
		must(err)
		fmt.Println(string(buf))
	}
	// Output:
	// 1
	// 22
}

func ExampleDB_Has() {
	db := open(lsm.Options{})
	defer db.Close()
	must(db.Set([]byte("job:7"), []byte("done")))
	ok, err := db.Has([]byte("job:7"))
	fmt.Println(ok, err)
	// Output: true <nil>
}

func ExampleDB_Set() {
	db := open(lsm.Options{})
	defer db.Close()
	must(db.Set([]byte("color"), []byte("red")))
	must(db.Set([]byte("color"), []byte("blue")))
	v, _ := db.Get([]byte("color"))
	fmt.Println(string(v))
	fmt.Println(errors.Is(db.Set(make([]byte, lsm.MaxKeyLen+1), nil), lsm.ErrTooLarge))
	// Output:
	// blue
	// true
}

func ExampleDB_Delete() {
	db := open(lsm.Options{})
	defer db.Close()
	must(db.Set([]byte("color"), []byte("red")))
	must(db.Delete([]byte("color")))
	must(db.Delete([]byte("color"))) // it is gone already
	_, err := db.Get([]byte("color"))
	fmt.Println(err)
	// Output: lsm: not found
}

// Money is moved in one batch, so that it is never in both accounts or in none.
// A batch does not look at what was there: a lock keeps two transfers apart.
func ExampleDB_Apply() {
	db := open(lsm.Options{})
	defer db.Close()
	must(db.Set([]byte("alice"), []byte("100")))

	var mu sync.Mutex
	transfer := func(ctx context.Context, from, to string, amount int) error {
		mu.Lock()
		defer mu.Unlock()
		var b lsm.Batch
		b.Set([]byte(from), strconv.AppendInt(nil, balance(db, from)-int64(amount), 10))
		b.Set([]byte(to), strconv.AppendInt(nil, balance(db, to)+int64(amount), 10))
		return db.Apply(ctx, &b)
	}
	var wg sync.WaitGroup
	for range 10 {
		wg.Go(func() { must(transfer(context.Background(), "alice", "bob", 7)) })
	}
	wg.Wait()
	fmt.Println(balance(db, "alice"), balance(db, "bob"))
	// Output: 30 70
}

// balance returns the number under a key, 0 if there is none.
func balance(db *lsm.DB, key string) int64 {
	v, err := db.Get([]byte(key))
	if errors.Is(err, lsm.ErrNotFound) {
		return 0
	}
	must(err)
	n, err := strconv.ParseInt(string(v), 10, 64)
	must(err)
	return n
}

func ExampleBatch() {
	db := open(lsm.Options{})
	defer db.Close()
	var b lsm.Batch
	for i := range 3 {
		b.Reset() // the memory is used again
		b.SetDurability(lsm.Async)
		b.Set(fmt.Appendf(nil, "event:%d", i), []byte("seen"))
		must(db.Apply(context.Background(), &b))
	}
	fmt.Println(b.Len(), b.Size())
	must(db.Sync(context.Background())) // from here on they are durable
	// Output: 1 14
}

// An import does not sync each commit, but all of them at its end.
func ExampleDB_Sync() {
	db := open(lsm.Options{Durability: lsm.NoSync})
	defer db.Close()
	for i := range 100 {
		must(db.Set(fmt.Append(nil, i), []byte("imported")))
	}
	fmt.Println(db.Stats().Syncs)
	must(db.Sync(context.Background()))
	fmt.Println(db.Stats().Syncs)
	// Output:
	// 0
	// 1
}

func ExampleDB_Stats() {
	db := open(lsm.Options{})
	defer db.Close()
	before := db.Stats()
	for range 5 {
		must(db.Set([]byte("a"), []byte("b")))
	}
	s := db.Stats().Sub(before)
	fmt.Println(s.Commits, "commits,", s.Syncs, "syncs,", s.LogBytes, "bytes of log")
	// Output: 5 commits, 5 syncs, 240 bytes of log
}

// Stats as a variable of expvar.
func ExampleStats_expvar() {
	db := open(lsm.Options{})
	defer db.Close()
	must(db.Set([]byte("a"), []byte("b")))
	v := expvar.Func(func() any { return db.Stats() }) // expvar.Publish("data", v)
	fmt.Println(v.String()[:55])
	// Output:
	// {"Commits":1,"BatchBytes":5,"Groups":1,"Syncs":1,"Logs"
}

// Stats as a line of log/slog.
func ExampleStats_slog() {
	db := open(lsm.Options{})
	defer db.Close()
	must(db.Set([]byte("a"), []byte("b")))
	log := slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{} // so that the output is always the same
			}
			return a
		},
	}))
	s := db.Stats()
	log.Info("data", "commits", s.Commits, "syncs", s.Syncs, "stalls", s.Stalls)
	// Output: level=INFO msg=data commits=1 syncs=1 stalls=0
}

// Stats in the text format of Prometheus.
func ExampleStats_prometheus() {
	db := open(lsm.Options{Durability: lsm.NoSync})
	defer db.Close()
	must(db.Set([]byte("a"), []byte("b")))
	s := db.Stats()
	fmt.Printf("lsm_commits_total %d\n", s.Commits)
	fmt.Printf("lsm_syncs_total %d\n", s.Syncs)
	fmt.Printf("lsm_memory_bytes %d\n", s.Memory)
	// Output:
	// lsm_commits_total 1
	// lsm_syncs_total 0
	// lsm_memory_bytes 65744
}

// A configuration file has the name of a durability.
func ExampleDurability() {
	var config struct{ Durability lsm.Durability }
	must(json.Unmarshal([]byte(`{"Durability": "nosync"}`), &config))
	fmt.Println(config.Durability, config.Durability == lsm.NoSync)
	// Output: nosync true
}

// A file system that counts syncs. The rest is that of the operating system.
type countingFS struct {
	lsm.OSFS
	dirs *int
}

func (c countingFS) SyncDir(dir string) error {
	*c.dirs++
	return c.OSFS.SyncDir(dir)
}

func ExampleOSFS() {
	dir, err := os.MkdirTemp("", "lsm-example-")
	must(err)
	defer os.RemoveAll(dir)

	n := 0
	db, err := lsm.Open(dir, &lsm.Options{FS: countingFS{dirs: &n}})
	must(err)
	must(db.Close())
	fmt.Println(n) // for the first log, and the manifest
	// Output: 2
}

func ExampleDB_Close() {
	db := open(lsm.Options{})
	fmt.Println(db.Close())
	fmt.Println(db.Close())
	fmt.Println(db.Set([]byte("a"), nil))
	// Output:
	// <nil>
	// lsm: closed
	// lsm: closed
}

func ExampleOptions_Validate() {
	o := &lsm.Options{LogSize: 100}
	fmt.Println(o.Validate())
	// Output: lsm: Options.LogSize must be between 4096 and 1073741824, got 100
}

// A program can be tested with every loss of power that could happen to it.
func ExampleMemFS_CrashClone() {
	fsys := lsm.NewMemFS()
	db := open(lsm.Options{FS: fsys, Durability: lsm.NoSync})
	defer db.Close()
	must(db.Set([]byte("a"), []byte("1")))
	must(db.Sync(context.Background()))
	must(db.Set([]byte("b"), []byte("2")))

	for _, keep := range []float64{0, 1} {
		after := open(lsm.Options{FS: fsys.CrashClone(lsm.CrashConfig{Keep: keep})})
		a, _ := after.Has([]byte("a"))
		b, _ := after.Has([]byte("b"))
		fmt.Println(a, b)
		must(after.Close())
	}
	// Output:
	// true false
	// true true
}

// A disk that fails makes the database read-only, until it is opened again.
func ExampleMemFS_Inject() {
	fsys := lsm.NewMemFS()
	db := open(lsm.Options{FS: fsys})
	must(db.Set([]byte("a"), []byte("1")))
	fsys.Inject(func(op lsm.FSOp) error {
		if op.Kind == "sync" && strings.HasSuffix(op.Name, ".wal") {
			return syscall.EIO
		}
		return nil
	})
	err := db.Set([]byte("a"), []byte("2"))
	fmt.Println(errors.Is(err, lsm.ErrReadOnly), errors.Is(err, syscall.EIO))
	v, err := db.Get([]byte("a"))
	fmt.Println(string(v), err)
	fmt.Println(errors.Is(db.Close(), syscall.EIO))
	// Output:
	// true true
	// 1 <nil>
	// true
}

// A damaged database says where.
func ExampleCorruptError() {
	fsys := lsm.NewMemFS()
	db := open(lsm.Options{FS: fsys})
	must(db.Set([]byte("a"), []byte("1")))
	must(db.Close())
	f, err := fsys.OpenWrite(filepath.Join("data", "000001.wal"))
	must(err)
	_, err = f.WriteAt([]byte{0xff}, 100)
	must(err)
	must(f.Close())

	_, err = lsm.Open("data", &lsm.Options{FS: fsys})
	var corrupt *lsm.CorruptError
	if errors.As(err, &corrupt) {
		fmt.Println(filepath.Base(corrupt.File), corrupt.Offset, errors.Is(err, lsm.ErrCorrupt))
	}
	// Output: 000001.wal 64 true
}

// makeTable returns a table in memory.
func makeTable(entries ...string) *lsm.Table {
	var file bytes.Buffer
	w := lsm.NewTableWriter(&file, nil)
	for i := 0; i < len(entries); i += 2 {
		must(w.Set([]byte(entries[i]), []byte(entries[i+1])))
	}
	must(w.Finish())
	t, err := lsm.OpenTable(bytes.NewReader(file.Bytes()), w.Size(), nil)
	must(err)
	return t
}

// A dictionary is written once, and read from its file.
func ExampleTableWriter() {
	f, err := os.CreateTemp("", "lsm-example-")
	must(err)
	defer os.Remove(f.Name())
	defer f.Close()

	w := lsm.NewTableWriter(f, nil)
	must(w.Set([]byte("one"), []byte("eins"))) // in the order of the keys
	must(w.Set([]byte("three"), []byte("drei")))
	must(w.Set([]byte("two"), []byte("zwei")))
	must(w.Finish())
	must(f.Sync()) // before the file gets its name, if that matters

	t, err := lsm.OpenTable(f, w.Size(), nil)
	must(err)
	v, err := t.Get([]byte("two"))
	fmt.Println(string(v), err)
	// Output: zwei <nil>
}

func ExampleTableWriter_Set() {
	w := lsm.NewTableWriter(new(bytes.Buffer), nil)
	fmt.Println(w.Set([]byte("b"), []byte("2")))
	fmt.Println(w.Set([]byte("a"), []byte("1")))
	fmt.Println(w.Set([]byte("c"), []byte("3"))) // the error was about "a" alone
	// Output:
	// <nil>
	// lsm: key "a" after "b": keys must ascend
	// <nil>
}

// Size tells when a table is long enough.
func ExampleTableWriter_Size() {
	tables := 0
	var w *lsm.TableWriter
	for i := range 1000 {
		if w == nil {
			w = lsm.NewTableWriter(new(bytes.Buffer), nil)
			tables++
		}
		must(w.Set(fmt.Appendf(nil, "%04d", i), make([]byte, 100)))
		if w.Size() >= 32<<10 {
			must(w.Finish())
			w = nil
		}
	}
	fmt.Println(tables, "tables")
	// Output: 4 tables
}

func ExampleTableWriter_Finish() {
	w := lsm.NewTableWriter(new(bytes.Buffer), nil)
	fmt.Println(w.Finish())
	fmt.Println(errors.Is(w.Finish(), lsm.ErrClosed))
	// Output:
	// <nil>
	// true
}

// A flateCodec compresses blocks to what the standard library can read.
type flateCodec struct{}

func (flateCodec) ID() byte { return 1 } // for this format, forever

func (flateCodec) Encode(dst, src []byte) []byte {
	buf := bytes.NewBuffer(dst)
	w, err := flate.NewWriter(buf, flate.BestSpeed) // a sync.Pool of them would save memory
	must(err)
	_, err = w.Write(src)
	must(err)
	must(w.Close())
	return buf.Bytes()
}

func (flateCodec) Decode(dst, src []byte, n int) ([]byte, error) {
	buf := bytes.NewBuffer(dst)
	_, err := io.Copy(buf, io.LimitReader(flate.NewReader(bytes.NewReader(src)), int64(n)))
	return buf.Bytes(), err
}

// Any compression becomes a Codec in a few lines. A database has it in its
// Options.
func ExampleCodec() {
	var file, plain bytes.Buffer
	opts := &lsm.TableOptions{Codec: flateCodec{}}
	w := lsm.NewTableWriter(&file, opts)
	p := lsm.NewTableWriter(&plain, nil)
	for i := range 1000 {
		key := fmt.Appendf(nil, "user:%04d", i)
		value := fmt.Appendf(nil, `{"name": "user number %d", "city": "Basel", "mail": true}`, i)
		must(w.Set(key, value))
		must(p.Set(key, value))
	}
	must(w.Finish())
	must(p.Finish())
	fmt.Println("less than a third:", file.Len() < plain.Len()/3)

	t, err := lsm.OpenTable(bytes.NewReader(file.Bytes()), w.Size(), opts)
	must(err)
	v, err := t.Get([]byte("user:0007"))
	fmt.Println(string(v), err)

	_, err = lsm.OpenTable(bytes.NewReader(file.Bytes()), w.Size(), nil)
	fmt.Println(err)
	// Output:
	// less than a third: true
	// {"name": "user number 7", "city": "Basel", "mail": true} <nil>
	// lsm: unknown version of the format: table has blocks of codec 1, which was not given
}

func ExampleTableOptions_Validate() {
	fmt.Println((&lsm.TableOptions{BlockSize: 1}).Validate())
	// Output: lsm: TableOptions.BlockSize must be between 64 and 1048576, got 1
}

func ExampleOpenTable() {
	_, err := lsm.OpenTable(strings.NewReader("no table"), 8, nil)
	fmt.Println(errors.Is(err, lsm.ErrCorrupt))
	// Output: true
}

func ExampleTable_Get() {
	t := makeTable("a", "1", "b", "2")
	v, err := t.Get([]byte("b"))
	fmt.Println(string(v), err)
	_, err = t.Get([]byte("c"))
	fmt.Println(errors.Is(err, lsm.ErrNotFound))
	// Output:
	// 2 <nil>
	// true
}

// AppendGet reads many values into one buffer.
func ExampleTable_AppendGet() {
	t := makeTable("a", "1", "b", "2")
	var buf []byte
	for _, key := range []string{"b", "a"} {
		var err error
		buf, err = t.AppendGet(buf[:0], []byte(key))
		fmt.Println(string(buf), err)
	}
	// Output:
	// 2 <nil>
	// 1 <nil>
}

func ExampleTable_Has() {
	t := makeTable("a", "1")
	fmt.Println(t.Has([]byte("a")))
	fmt.Println(t.Has([]byte("b")))
	// Output:
	// true <nil>
	// false <nil>
}

// A range is half open.
func ExampleTable_Scan() {
	t := makeTable("a", "1", "b", "2", "c", "3")
	it := t.Scan([]byte("a"), []byte("c"))
	for key, value := range it.All() {
		fmt.Printf("%s=%s\n", key, value)
	}
	fmt.Println(it.Close())
	// Output:
	// a=1
	// b=2
	// <nil>
}

func ExampleTable_Verify() {
	var file bytes.Buffer
	w := lsm.NewTableWriter(&file, nil)
	must(w.Set([]byte("a"), []byte("1")))
	must(w.Finish())
	t, err := lsm.OpenTable(bytes.NewReader(file.Bytes()), w.Size(), nil)
	must(err)
	fmt.Println(t.Verify(context.Background()))

	file.Bytes()[0] ^= 1 // the disk forgets
	fmt.Println(t.Verify(context.Background()))
	_, err = t.Get([]byte("a"))
	fmt.Println(errors.Is(err, lsm.ErrCorrupt))
	// Output:
	// <nil>
	// lsm: corrupt: table at offset 0: the checksum of a block does not match
	// true
}

// makeDB returns a database with keys and values.
func makeDB(pairs ...string) *lsm.DB {
	db := open(lsm.Options{})
	for i := 0; i < len(pairs); i += 2 {
		must(db.Set([]byte(pairs[i]), []byte(pairs[i+1])))
	}
	return db
}

// A range is half open. Close tells whether the loop came to its end.
func ExampleDB_Scan() {
	db := makeDB("a", "1", "b", "2", "c", "3")
	defer db.Close()
	it := db.Scan([]byte("a"), []byte("c"))
	for key, value := range it.All() {
		fmt.Printf("%s=%s\n", key, value)
	}
	fmt.Println(it.Close())
	// Output:
	// a=1
	// b=2
	// <nil>
}

func ExampleDB_Prefix() {
	db := makeDB("user:1", "alice", "user:2", "bob", "visits", "7")
	defer db.Close()
	it := db.Prefix([]byte("user:"))
	for key, value := range it.Backward() {
		fmt.Printf("%s=%s\n", key, value)
	}
	fmt.Println(it.Close())
	// Output:
	// user:2=bob
	// user:1=alice
	// <nil>
}

// An iterator moves both ways: the neighbors of a key.
func ExampleIterator() {
	db := makeDB("10:00", "open", "12:30", "lunch", "18:00", "close")
	defer db.Close()
	it := db.Scan(nil, nil)
	defer it.Close()
	if it.SeekGE([]byte("12:00")) {
		fmt.Printf("next is %s at %s\n", it.Value(), it.Key())
	}
	if it.Prev() {
		fmt.Printf("before that was %s at %s\n", it.Value(), it.Key())
	}
	fmt.Println(it.Prev(), it.Err())
	// Output:
	// next is lunch at 12:30
	// before that was open at 10:00
	// false <nil>
}

// Pages of a list: the key after the last one is where the next page begins,
// whatever has changed in between.
func ExampleIterator_pages() {
	db := open(lsm.Options{Durability: lsm.Async})
	defer db.Close()
	for i := range 50 {
		must(db.Set(fmt.Appendf(nil, "item:%02d", i), nil))
	}
	page := func(cursor []byte, size int) (keys []string, next []byte, err error) {
		it := db.Scan(cursor, []byte("item;")) // the byte after ':'
		for key := range it.All() {
			keys = append(keys, string(key))
			if len(keys) == size {
				next = append(bytes.Clone(key), 0) // the least key after it
				break
			}
		}
		return keys, next, it.Close()
	}

	cursor := []byte("item:")
	for cursor != nil {
		keys, next, err := page(cursor, 20)
		must(err)
		fmt.Println(len(keys), keys[0], keys[len(keys)-1])
		must(db.Delete([]byte(keys[0]))) // changes do not move the pages
		cursor = next
	}
	// Output:
	// 20 item:00 item:19
	// 20 item:20 item:39
	// 10 item:40 item:49
}

// A snapshot shows one state, however long it takes to read it.
func ExampleDB_Snapshot() {
	db := makeDB("alice", "50", "bob", "50")
	defer db.Close()
	snap := db.Snapshot()
	defer snap.Close()
	var b lsm.Batch
	b.Set([]byte("alice"), []byte("20"))
	b.Set([]byte("bob"), []byte("80"))
	must(db.Apply(context.Background(), &b))

	old, err := snap.Get([]byte("alice"))
	must(err)
	now, err := db.Get([]byte("alice"))
	must(err)
	fmt.Printf("%s then, %s now\n", old, now)
	// Output:
	// 50 then, 20 now
}

// A row and its second index change in one batch, so that they never disagree.
func ExampleDB_Apply_index() {
	db := open(lsm.Options{})
	defer db.Close()
	var mu sync.Mutex // a change depends on the old row: one at a time
	put := func(id, city string) {
		mu.Lock()
		defer mu.Unlock()
		var b lsm.Batch
		row := []byte("user/" + id)
		if old, err := db.Get(row); err == nil {
			b.Delete([]byte("city/" + string(old) + "/" + id))
		}
		b.Set(row, []byte(city))
		b.Set([]byte("city/"+city+"/"+id), nil)
		must(db.Apply(context.Background(), &b))
	}
	put("1", "basel")
	put("2", "bern")
	put("3", "bern")
	put("1", "bern") // moves

	it := db.Prefix([]byte("city/bern/"))
	for key := range it.All() {
		fmt.Println("user", string(key[len("city/bern/"):]))
	}
	must(it.Close())
	fmt.Println(db.Has([]byte("city/basel/1")))
	// Output:
	// user 1
	// user 2
	// user 3
	// false <nil>
}

// An address belongs to one user, and a user likes a post once: the keys say
// so. A row and the index by which it is unique change in one batch.
func ExampleDB_Apply_unique() {
	db := open(lsm.Options{})
	defer db.Close()
	var mu sync.Mutex // looking and taking are one step
	register := func(user, email string) bool {
		mu.Lock()
		defer mu.Unlock()
		index := []byte("email/" + email)
		if taken, err := db.Has(index); taken || err != nil {
			return false
		}
		var b lsm.Batch
		b.Set([]byte("user/"+user), []byte(email))
		b.Set(index, []byte(user))
		must(db.Apply(context.Background(), &b))
		return true
	}
	fmt.Println(register("ann", "a@example.com"), register("bob", "a@example.com"))

	// By (post, user): a second like is the same key.
	for _, user := range []string{"ann", "bob", "ann"} {
		must(db.Set([]byte("like/post1/"+user), nil))
	}
	likes := 0
	it := db.Prefix([]byte("like/post1/"))
	for range it.All() {
		likes++
	}
	must(it.Close())
	fmt.Println("post1 has", likes, "likes")
	// Output:
	// true false
	// post1 has 2 likes
}

// A queue does not slow down over what was taken from it: it knows where its
// head is, and begins there, not at the first key.
func ExampleDB_Scan_queue() {
	db := open(lsm.Options{Durability: lsm.Async})
	defer db.Close()
	key := func(i uint64) []byte { return binary.BigEndian.AppendUint64([]byte("queue/"), i) }
	head, tail := uint64(0), uint64(0)
	push := func(value string) {
		must(db.Set(key(tail), []byte(value)))
		tail++
	}
	pop := func() (value string, ok bool) {
		it := db.Scan(key(head), []byte("queue0")) // behind all that is deleted
		defer it.Close()
		if !it.First() {
			return "", false
		}
		value = string(it.Value())
		head = binary.BigEndian.Uint64(it.Key()[len("queue/"):]) + 1
		must(db.Delete(it.Key()))
		return value, true
	}

	for i := range 1000 {
		push(fmt.Sprint("job ", i))
	}
	n := 0
	for value, ok := pop(); ok; value, ok = pop() {
		if n++; n%400 == 0 {
			fmt.Println(value)
		}
	}
	fmt.Println(n, "jobs")
	// Output:
	// job 399
	// job 799
	// 1000 jobs
}

// Counters under concurrent writers: a lock for each key, so that no change is
// lost, and commits that meet share a sync.
func ExampleDB_Set_counters() {
	db := open(lsm.Options{})
	defer db.Close()
	var locks [16]sync.Mutex
	add := func(name string, n int) {
		l := &locks[crc32.ChecksumIEEE([]byte(name))%16]
		l.Lock()
		defer l.Unlock()
		old, err := db.Get([]byte(name))
		if err != nil && !errors.Is(err, lsm.ErrNotFound) {
			panic(err)
		}
		sum, _ := strconv.Atoi(string(old))
		must(db.Set([]byte(name), strconv.AppendInt(nil, int64(sum+n), 10)))
	}

	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() { // ends after 100 changes
			for i := range 100 {
				add([]string{"visits", "errors"}[(w+i)%2], 1)
			}
		})
	}
	wg.Wait()
	it := db.Scan(nil, nil)
	for key, value := range it.All() {
		fmt.Printf("%s %s\n", key, value)
	}
	must(it.Close())
	// Output:
	// errors 400
	// visits 400
}

// Compact gives back the space of what was deleted, which otherwise happens as
// it pays.
func ExampleDB_Compact() {
	db := open(lsm.Options{Durability: lsm.Async})
	defer db.Close()
	for i := range 1000 {
		must(db.Set(fmt.Appendf(nil, "key%03d", i), make([]byte, 100)))
	}
	must(db.Flush(context.Background()))
	full := db.Stats().Stored
	for i := range 990 {
		must(db.Delete(fmt.Appendf(nil, "key%03d", i)))
	}
	must(db.Compact(context.Background(), nil, nil))
	s := db.Stats()
	fmt.Println(s.Stored < full/10, s.SpaceAmplification())
	// Output:
	// true 1
}

// Events tell what a database does by itself.
func ExampleEvent() {
	db := open(lsm.Options{OnEvent: func(e lsm.Event) {
		fmt.Println(e.Kind, e.Level, e.Tables, e.Err)
	}})
	must(db.Set([]byte("a"), []byte("1")))
	must(db.Flush(context.Background()))
	db.Snapshot() // nobody closes it
	must(db.Close())
	// Output:
	// flush 0 1 <nil>
	// leak 0 0 <nil>
}
