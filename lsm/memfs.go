// SPDX-License-Identifier: MIT

package lsm

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"sync"
)

// sectorSize is the number of bytes that a disk writes as a whole, or not.
const sectorSize = 512

// A MemFS is an [FS] in memory, which can lose power and can fail. It is safe
// for concurrent use by multiple goroutines.
//
// It distinguishes the bytes that a program reads from those that are durable.
// Written bytes and lengths become durable by Sync of their file; names that
// were created, renamed or removed by SyncDir of their directory; neither makes
// the other durable. A Sync that fails leaves bytes that no later Sync makes
// durable, as Linux does. [MemFS.CrashClone] gives a disk as it could be after
// a loss of power.
type MemFS struct {
	mu     sync.Mutex // protects all below, and all files; never held while inject runs
	dirs   map[string]*memDir
	locks  map[string]int // exclusive if -1, else how many share it
	open   int            // files open now
	ops    int64
	inject func(FSOp) error
}

// An FSOp is an operation of a [MemFS] that is about to happen.
type FSOp struct {
	// Kind is the name of the method: "mkdir", "list", "create", "open",
	// "openwrite", "rename", "remove", "syncdir", "lock", "lockshared", "stat"
	// (of Size) and "link" of the FS; "read", "write", "size", "truncate",
	// "preallocate", "syncrange", "sync" and "close" of a File.
	Kind string

	// Name is the path of the file or directory.
	Name string

	// N is the number of the operation since the MemFS was made, from 1.
	N int64
}

// A memDir maps names to files. pending are the changes of live since the last
// SyncDir.
type memDir struct {
	live    map[string]*memNode
	durable map[string]*memNode
	pending []memChange
}

// A memChange gives a name to a file or, if node is nil, takes it. A rename is
// one change.
type memChange struct {
	name    string
	node    *memNode
	oldName string // if not empty, the name that node loses
}

func (c memChange) apply(m map[string]*memNode) {
	if c.oldName != "" {
		delete(m, c.oldName)
	}
	if c.node == nil {
		delete(m, c.name)
		return
	}
	m[c.name] = c.node
}

// A memNode is a file. pending are the changes of live since the last Sync.
// After a Sync has failed, its changes and all later ones are in history, in
// order, because a crash may still lose those, and only those, of the Sync.
type memNode struct {
	live    []byte
	durable []byte
	history []memWrite
	pending []memWrite
}

// A memWrite is one sector or less of a write, or, if data is nil, a change of
// the length.
type memWrite struct {
	off    int64
	data   []byte
	size   int64
	synced bool // in history: its Sync did not fail
}

func (w memWrite) apply(b []byte) []byte {
	if w.data == nil {
		return resize(b, w.size)
	}
	if end := w.off + int64(len(w.data)); end > int64(len(b)) {
		b = resize(b, end)
	}
	copy(b[w.off:], w.data)
	return b
}

// resize returns b with n bytes, new ones zero.
func resize(b []byte, n int64) []byte {
	if n <= int64(len(b)) {
		return b[:n:n] // bytes behind it must not come back
	}
	return append(b, make([]byte, n-int64(len(b)))...)
}

// NewMemFS returns an empty file system. All directories exist.
func NewMemFS() *MemFS {
	return &MemFS{dirs: map[string]*memDir{}, locks: map[string]int{}}
}

// Inject makes f decide about every operation before it happens; nil ends that.
// If f returns an error, the operation does nothing and returns it. There are
// two exceptions: a write that fails with an error that is [io.ErrShortWrite]
// writes half, and a close closes the file even so. f may call CrashClone, and
// must not otherwise use the file system.
func (m *MemFS) Inject(f func(FSOp) error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.inject = f
}

// before counts an operation and asks inject about it.
func (m *MemFS) before(kind, name string) error {
	m.mu.Lock()
	m.ops++
	op := FSOp{Kind: kind, Name: name, N: m.ops}
	f := m.inject
	m.mu.Unlock()
	if f == nil {
		return nil
	}
	if err := f(op); err != nil {
		return &fs.PathError{Op: kind, Path: name, Err: err}
	}
	return nil
}

// A CrashConfig says which of the possible states a crash leaves.
type CrashConfig struct {
	// Keep is the chance that a change that was not synced survives: each
	// sector of 512 bytes of each write, each length and each name on its own.
	// If zero, no change survives that was not synced; if 1, all do, as after a
	// process was killed.
	Keep float64

	// Garbage makes a sector whose write did not survive hold random bytes,
	// with the chance Keep, if it would hold zeros. Other bytes that were there
	// before stay: a disk writes a sector or leaves it.
	Garbage bool

	// Seed selects which unsynced changes survive.
	Seed uint64
}

// CrashClone returns the disk as it is if the power fails now: a file system on
// which nothing is open, locked or pending. m itself does not change.
func (m *MemFS) CrashClone(c CrashConfig) *MemFS {
	m.mu.Lock()
	defer m.mu.Unlock()
	rng := rand.New(rand.NewPCG(c.Seed, 1))
	keep := func() bool { return c.Keep >= 1 || c.Keep > 0 && rng.Float64() < c.Keep }

	clone := NewMemFS()
	nodes := map[*memNode]*memNode{} // in case two names of one file survive
	for _, dir := range slices.Sorted(maps.Keys(m.dirs)) {
		d := m.dirs[dir]

		// Changes of names that were not synced survive one by one, or not.
		names := maps.Clone(d.durable)
		for _, change := range d.pending {
			if keep() {
				change.apply(names)
			}
		}

		// So do writes to the files that still have a name.
		cd := &memDir{live: map[string]*memNode{}, durable: map[string]*memNode{}}
		for _, name := range slices.Sorted(maps.Keys(names)) {
			node := names[name]
			if nodes[node] == nil {
				b := node.crash(c, rng, keep)
				nodes[node] = &memNode{live: b, durable: slices.Clone(b)}
			}
			cd.live[name], cd.durable[name] = nodes[node], nodes[node]
		}
		clone.dirs[dir] = cd
	}
	return clone
}

// crash returns the bytes of n after a crash.
func (n *memNode) crash(c CrashConfig, rng *rand.Rand, keep func() bool) []byte {
	b := slices.Clone(n.durable)
	for _, w := range slices.Concat(n.history, n.pending) {
		if w.synced || keep() {
			b = w.apply(b)
			continue
		}

		// A sector that was being written may hold anything.
		if end := w.off + int64(len(w.data)); c.Garbage && w.data != nil && keep() {
			if end > int64(len(b)) {
				b = resize(b, end)
			}
			if !allZero(b[w.off:end]) {
				continue // a sector that was written before stays as it was
			}
			for i := w.off; i < end; i++ {
				b[i] = byte(rng.Uint32())
			}
		}
	}
	return b
}

// dirLocked returns the directory with a path.
func (m *MemFS) dirLocked(dir string) *memDir {
	dir = filepath.Clean(dir)
	d := m.dirs[dir]
	if d == nil {
		d = &memDir{live: map[string]*memNode{}, durable: map[string]*memNode{}}
		m.dirs[dir] = d
	}
	return d
}

func (d *memDir) change(c memChange) {
	c.apply(d.live)
	d.pending = append(d.pending, c)
}

// MkdirAll does nothing: all directories exist.
func (m *MemFS) MkdirAll(dir string) error { return m.before("mkdir", dir) }

// List returns the names of the files in dir, sorted.
func (m *MemFS) List(dir string) ([]string, error) {
	if err := m.before("list", dir); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Sorted(maps.Keys(m.dirLocked(dir).live)), nil
}

// Create makes a file. Its name is pending until SyncDir.
func (m *MemFS) Create(name string) (File, error) {
	if err := m.before("create", name); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	d := m.dirLocked(filepath.Dir(name))
	base := filepath.Base(name)
	if d.live[base] != nil {
		return nil, &fs.PathError{Op: "create", Path: name, Err: fs.ErrExist}
	}
	node := &memNode{}
	d.change(memChange{name: base, node: node})
	m.open++
	return &memFile{fs: m, name: name, node: node, write: true}, nil
}

// Open opens a file for reading.
func (m *MemFS) Open(name string) (File, error) { return m.openFile("open", name, false) }

// OpenWrite opens a file for reading and writing.
func (m *MemFS) OpenWrite(name string) (File, error) { return m.openFile("openwrite", name, true) }

func (m *MemFS) openFile(kind, name string, write bool) (File, error) {
	if err := m.before(kind, name); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	node := m.dirLocked(filepath.Dir(name)).live[filepath.Base(name)]
	if node == nil {
		return nil, &fs.PathError{Op: kind, Path: name, Err: fs.ErrNotExist}
	}
	m.open++
	return &memFile{fs: m, name: name, node: node, write: write}, nil
}

// Rename gives a file another name in the same directory.
func (m *MemFS) Rename(from, to string) error {
	if err := m.before("rename", from); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	d := m.dirLocked(filepath.Dir(from))
	base := filepath.Base(from)
	node := d.live[base]
	if node == nil {
		return &fs.PathError{Op: "rename", Path: from, Err: fs.ErrNotExist}
	}
	if filepath.Dir(from) != filepath.Dir(to) {
		return &fs.PathError{Op: "rename", Path: to, Err: errors.ErrUnsupported}
	}
	d.change(memChange{name: filepath.Base(to), node: node, oldName: base})
	return nil
}

// Remove removes the name of a file. A file that is open can be used on.
func (m *MemFS) Remove(name string) error {
	if err := m.before("remove", name); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	d := m.dirLocked(filepath.Dir(name))
	base := filepath.Base(name)
	if d.live[base] == nil {
		return &fs.PathError{Op: "remove", Path: name, Err: fs.ErrNotExist}
	}
	d.change(memChange{name: base})
	return nil
}

// SyncDir makes the names in dir durable.
func (m *MemFS) SyncDir(dir string) error {
	if err := m.before("syncdir", dir); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	d := m.dirLocked(dir)
	for _, c := range d.pending {
		c.apply(d.durable)
	}
	d.pending = nil
	return nil
}

// Lock takes the exclusive lock of a name.
func (m *MemFS) Lock(name string) (io.Closer, error) { return m.lock("lock", name, -1) }

// LockShared takes a shared lock of a name, which needs no file.
func (m *MemFS) LockShared(name string) (io.Closer, error) { return m.lock("lockshared", name, 1) }

func (m *MemFS) lock(kind, name string, n int) (io.Closer, error) {
	if err := m.before(kind, name); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if held := m.locks[name]; held != 0 && (held < 0 || n < 0) {
		return nil, fmt.Errorf("%w: %s", ErrLocked, name)
	}
	m.locks[name] += n
	return &memLock{m, name, n}, nil
}

type memLock struct {
	fs   *MemFS
	name string
	n    int
}

func (l *memLock) Close() error {
	l.fs.mu.Lock()
	defer l.fs.mu.Unlock()
	if l.n == 0 {
		return fs.ErrClosed
	}
	l.fs.locks[l.name] -= l.n
	if l.fs.locks[l.name] == 0 {
		delete(l.fs.locks, l.name)
	}
	l.n = 0
	return nil
}

// Size returns the length of the file.
func (m *MemFS) Size(name string) (int64, error) {
	if err := m.before("stat", name); err != nil {
		return 0, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	node := m.dirLocked(filepath.Dir(name)).live[filepath.Base(name)]
	if node == nil {
		return 0, &fs.PathError{Op: "stat", Path: name, Err: fs.ErrNotExist}
	}
	return int64(len(node.live)), nil
}

// Link gives a file another name in the same directory, pending until SyncDir.
func (m *MemFS) Link(from, to string) error {
	if err := m.before("link", from); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	d := m.dirLocked(filepath.Dir(from))
	node := d.live[filepath.Base(from)]
	switch {
	case node == nil:
		return &fs.PathError{Op: "link", Path: from, Err: fs.ErrNotExist}
	case filepath.Dir(from) != filepath.Dir(to):
		return &fs.PathError{Op: "link", Path: to, Err: errors.ErrUnsupported}
	case d.live[filepath.Base(to)] != nil:
		return &fs.PathError{Op: "link", Path: to, Err: fs.ErrExist}
	}
	d.change(memChange{name: filepath.Base(to), node: node})
	return nil
}

// A memFile is an open file of a MemFS.
type memFile struct {
	fs     *MemFS
	name   string
	node   *memNode
	write  bool
	closed bool // protected by fs.mu
}

// begin is before, and locks fs.mu unless it returns an error.
func (f *memFile) begin(kind string, write bool) error {
	if err := f.fs.before(kind, f.name); err != nil {
		return err
	}
	f.fs.mu.Lock()
	var err error
	switch {
	case f.closed:
		err = fs.ErrClosed
	case write && !f.write:
		err = fs.ErrPermission
	default:
		return nil
	}
	f.fs.mu.Unlock()
	return &fs.PathError{Op: kind, Path: f.name, Err: err}
}

func (f *memFile) ReadAt(p []byte, off int64) (int, error) {
	if err := f.begin("read", false); err != nil {
		return 0, err
	}
	defer f.fs.mu.Unlock()
	if off >= int64(len(f.node.live)) {
		return 0, io.EOF
	}
	n := copy(p, f.node.live[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (f *memFile) WriteAt(p []byte, off int64) (int, error) {
	err := f.begin("write", true)
	if err != nil {
		if !errors.Is(err, io.ErrShortWrite) {
			return 0, err
		}
		p = p[:len(p)/2]
		f.fs.mu.Lock()
	}
	defer f.fs.mu.Unlock()

	// A crash keeps or loses whole sectors.
	n := len(p)
	for len(p) > 0 {
		k := min(len(p), int(sectorSize-off%sectorSize))
		f.node.change(memWrite{off: off, data: slices.Clone(p[:k])})
		p = p[k:]
		off += int64(k)
	}
	return n, err
}

func (n *memNode) change(w memWrite) {
	n.live = w.apply(n.live)
	n.pending = append(n.pending, w)
}

func (f *memFile) Size() (int64, error) {
	if err := f.begin("size", false); err != nil {
		return 0, err
	}
	defer f.fs.mu.Unlock()
	return int64(len(f.node.live)), nil
}

func (f *memFile) Truncate(size int64) error {
	if err := f.begin("truncate", true); err != nil {
		return err
	}
	defer f.fs.mu.Unlock()
	f.node.change(memWrite{size: size})
	return nil
}

func (f *memFile) Preallocate(size int64) error {
	if err := f.begin("preallocate", true); err != nil {
		return err
	}
	defer f.fs.mu.Unlock()
	if size <= 0 {
		return &fs.PathError{Op: "preallocate", Path: f.name, Err: fs.ErrInvalid} // as Linux does
	}
	if size > int64(len(f.node.live)) {
		f.node.change(memWrite{size: size})
	}
	return nil
}

// SyncRange does nothing: bytes that begin to be written are not durable.
func (f *memFile) SyncRange(_, _ int64) error {
	if err := f.begin("syncrange", false); err != nil {
		return err
	}
	f.fs.mu.Unlock()
	return nil
}

func (f *memFile) Sync() error {
	err := f.begin("sync", false)
	if err != nil && errors.Is(err, fs.ErrClosed) {
		return err
	}
	if err != nil {
		f.fs.mu.Lock()
	}
	defer f.fs.mu.Unlock()

	// After a failed sync it is not known which writes are durable.
	n := f.node
	for _, w := range n.pending {
		if w.synced = err == nil; w.synced && len(n.history) == 0 {
			n.durable = w.apply(n.durable)
			continue
		}
		n.history = append(n.history, w)
	}
	n.pending = nil
	return err
}

func (f *memFile) Close() error {
	err := f.fs.before("close", f.name)
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if f.closed {
		return &fs.PathError{Op: "close", Path: f.name, Err: fs.ErrClosed}
	}
	f.closed = true
	f.fs.open--
	return err
}
