// SPDX-License-Identifier: MIT

package lsm

import (
	"cmp"
	"errors"
	"fmt"
	"time"
)

// A Durability is how much a commit is protected against when it returns.
type Durability uint8

const (
	// Sync commits survive a loss of power. Nobody sees them before they do.
	Sync Durability = iota

	// NoSync commits survive the end of the process: the operating system has
	// the bytes, and writes them to the disk within seconds, or at the next
	// Sync.
	NoSync

	// Async commits are in the memory of the process. They reach the operating
	// system 10 ms later, with the next commit that is not Async, or when 256
	// KiB of them wait; if the disk is busy then, as soon as it is not.
	Async
)

var durabilityNames = [...]string{"sync", "nosync", "async"}

// String returns "sync", "nosync" or "async".
func (d Durability) String() string {
	if d > Async {
		return fmt.Sprintf("Durability(%d)", uint8(d))
	}
	return durabilityNames[d]
}

// MarshalText returns the text of String.
func (d Durability) MarshalText() ([]byte, error) {
	if d > Async {
		return nil, fmt.Errorf("lsm: there is no durability %d", uint8(d))
	}
	return []byte(d.String()), nil
}

// UnmarshalText sets d to the durability with a name.
func (d *Durability) UnmarshalText(text []byte) error {
	for i, name := range durabilityNames {
		if string(text) == name {
			*d = Durability(i)
			return nil
		}
	}
	return fmt.Errorf("lsm: there is no durability %q", text)
}

// Options are the optional settings of a [DB].
type Options struct {
	// Durability is that of commits that do not choose their own. If zero,
	// Sync.
	Durability Durability

	// Memory is a budget of memory, between 1 MiB and 4 GiB. If zero, 128 MiB.
	// New keys and values become a table when they take an eighth of it, with
	// the trees that find them; while tables are written, commits go on until
	// all of these take half. Then commits wait, and fail with [ErrStalled] if
	// that lasts longer than StallTimeout. A batch that is longer than an
	// eighth takes the memory that it needs, alone. The other half is for
	// blocks of tables, if Cache is nil.
	Memory int64

	// Cache is where blocks of tables are kept. If nil, a cache of half of
	// Memory.
	Cache *Cache

	// MaxOpenFiles is the number of tables that have an open file at a time, at
	// least 1. If zero, 500.
	MaxOpenFiles int

	// ReadOnly opens a database that exists and changes no file of it. Several
	// may do so at once, but not while another writes.
	ReadOnly bool

	// ErrorIfMissing makes Open fail with [fs.ErrNotExist] if there is no
	// database. By default Open makes one, with its directory.
	ErrorIfMissing bool

	// ErrorIfExists makes Open fail with [fs.ErrExist] if there is a database.
	ErrorIfExists bool

	// LogSize is the length of a log file, between 4 KiB and 1 GiB. If zero, 4
	// MiB. Space for two of them is taken from the disk in advance. A batch
	// that is longer gets a longer log.
	LogSize int64

	// StallTimeout is how long a commit waits for space or descriptors that
	// the system lacks for the next log file, or for memory, before it fails
	// with [ErrStalled]; and Flush and Compact, if tables cannot be written. If
	// zero, 10 * time.Second.
	StallTimeout time.Duration

	// Codec makes blocks of new tables shorter. Tables that have a codec can be
	// opened with no other, and those that have none with any: a database may
	// get a codec later, and then keeps it. If nil, none.
	Codec Codec

	// OnEvent, if not nil, is called after what a database does by itself, in
	// the goroutine that has done it and under no lock. It should return soon,
	// and not panic. It may read, but not commit, nor call Flush, Compact or
	// Close, which wait for that goroutine.
	OnEvent func(Event)

	// FS is where the files are. If nil, [OSFS].
	FS FS
}

const (
	defaultMemory       = 128 << 20
	minMemory           = 1 << 20
	maxMemory           = 4 << 30
	defaultLogSize      = 4 << 20
	minLogSize          = 4 << 10
	defaultMaxOpenFiles = 500
	maxLogSize          = 1 << 30
	defaultStallTimeout = 10 * time.Second
)

// Validate returns an error if o cannot be used.
func (o *Options) Validate() error {
	switch {
	case o == nil:
	case o.Durability > Async:
		return fmt.Errorf("lsm: Options.Durability must be Sync, NoSync or Async, got %d", uint8(o.Durability))
	case o.Memory != 0 && (o.Memory < minMemory || o.Memory > maxMemory):
		return fmt.Errorf("lsm: Options.Memory must be between %d and %d, got %d", minMemory, int64(maxMemory), o.Memory)
	case o.LogSize != 0 && (o.LogSize < minLogSize || o.LogSize > maxLogSize):
		return fmt.Errorf("lsm: Options.LogSize must be between %d and %d, got %d", minLogSize, maxLogSize, o.LogSize)
	case o.MaxOpenFiles < 0:
		return fmt.Errorf("lsm: Options.MaxOpenFiles must not be negative, got %d", o.MaxOpenFiles)
	case o.StallTimeout < 0:
		return fmt.Errorf("lsm: Options.StallTimeout must not be negative, got %v", o.StallTimeout)
	case o.Codec != nil && o.Codec.ID() == 0:
		return errors.New("lsm: Options.Codec must not have the ID 0")
	case o.ErrorIfExists && (o.ErrorIfMissing || o.ReadOnly):
		return errors.New("lsm: Options.ErrorIfExists contradicts ErrorIfMissing and ReadOnly")
	}
	return nil
}

// resolve returns a copy of o in which every field has its value.
func (o *Options) resolve() Options {
	var r Options
	if o != nil {
		r = *o
	}
	r.Memory = cmp.Or(r.Memory, defaultMemory)
	r.MaxOpenFiles = cmp.Or(r.MaxOpenFiles, defaultMaxOpenFiles)
	r.LogSize = cmp.Or(r.LogSize, defaultLogSize)
	r.StallTimeout = cmp.Or(r.StallTimeout, defaultStallTimeout)
	if r.Cache == nil {
		r.Cache = NewCache(r.Memory / 2)
	}
	if r.FS == nil {
		r.FS = OSFS{}
	}
	return r
}

// TableOptions are the optional settings of a [TableWriter] and a [Table].
type TableOptions struct {
	// FilterBits is the number of bits that a key takes in the filter, at most
	// 64. The filter answers most questions about keys that are not there: all
	// but one in a hundred for 10 bits, one in a thousand for 16. If zero, 10.
	// If negative, the table has no filter.
	FilterBits int

	// BlockSize is the number of bytes of keys and values that are read at a
	// time, between 64 and 1 MiB. If zero, 8 KiB. All versions of one key are
	// in one block, so a block may be longer.
	BlockSize int

	// Codec makes blocks shorter; BlockSize is the size before that. A table
	// that has a codec can be opened with no other. If nil, none.
	Codec Codec
}

const (
	defaultFilterBits = 10
	maxFilterBits     = 64
	defaultBlockSize  = 8 << 10
	minBlockSize      = 64
	maxBlockSize      = 1 << 20
)

// Validate returns an error if o cannot be used.
func (o *TableOptions) Validate() error {
	switch {
	case o == nil:
	case o.FilterBits > maxFilterBits:
		return fmt.Errorf("lsm: TableOptions.FilterBits must be at most %d, got %d", maxFilterBits, o.FilterBits)
	case o.BlockSize != 0 && (o.BlockSize < minBlockSize || o.BlockSize > maxBlockSize):
		return fmt.Errorf("lsm: TableOptions.BlockSize must be between %d and %d, got %d", minBlockSize, maxBlockSize, o.BlockSize)
	case o.Codec != nil && o.Codec.ID() == 0:
		return errors.New("lsm: TableOptions.Codec must not have the ID 0")
	}
	return nil
}

// resolve returns a copy of o in which every field has its value.
func (o *TableOptions) resolve() TableOptions {
	var r TableOptions
	if o != nil {
		r = *o
	}
	r.FilterBits = cmp.Or(r.FilterBits, defaultFilterBits)
	r.BlockSize = cmp.Or(r.BlockSize, defaultBlockSize)
	return r
}
