// SPDX-License-Identifier: MIT

package lsm

import (
	"errors"
	"fmt"
	"time"
)

// A Durability says what a commit has survived when it returns.
type Durability uint8

const (
	// Sync commits survive a loss of power. Nobody sees them before they do.
	Sync Durability = iota
	// NoSync commits survive the end of the process: the operating system has the bytes, which
	// it writes within seconds, or at the next Sync.
	NoSync
	// Async commits are in the memory of the process. They reach the operating system within 10 ms,
	// with the next commit that is not Async, or when 256 KiB of them wait.
	Async
)

// Options are the optional settings of a [DB].
type Options struct {
	// FS is where the files are. If nil, the file system of the operating system.
	FS FS

	// Durability is that of commits that do not choose their own. If zero, Sync.
	Durability Durability

	// ReadOnly opens a database that exists and changes no file of it.
	ReadOnly bool

	// ErrorIfExists makes Open fail with [fs.ErrExist] if there is a database.
	ErrorIfExists bool

	// ErrorIfMissing makes Open fail with [fs.ErrNotExist] if there is none. By default Open makes
	// one, with its directory.
	ErrorIfMissing bool

	// Memory bounds the bytes of keys and values in memory, with what it takes to find them;
	// at most 4 GiB. If zero, 1 GiB. A commit that would exceed it fails with [ErrFull].
	Memory int64

	// LogSize is the length of a log file, at least 4096 and at most 1 GiB. If zero, 4 MiB.
	// Space for two of them is taken from the disk in advance. A batch larger than that makes its
	// log longer.
	LogSize int64

	// StallTimeout is how long a commit waits for space or descriptors that the system lacks
	// for the next log file, before it fails with [ErrStalled]. If zero, 10 * time.Second.
	StallTimeout time.Duration
}

const (
	defaultMemory       = 1 << 30
	maxMemory           = 4 << 30
	defaultLogSize      = 4 << 20
	minLogSize          = 4 << 10
	maxLogSize          = 1 << 30
	defaultStallTimeout = 10 * time.Second
)

// Validate returns an error if o cannot be used.
func (o *Options) Validate() error {
	switch {
	case o == nil:
	case o.Durability > Async:
		return fmt.Errorf("lsm: Options.Durability must be Sync, NoSync or Async, got %d", o.Durability)
	case o.Memory < 0 || o.Memory > maxMemory:
		return fmt.Errorf("lsm: Options.Memory must be between 0 and %d, got %d", int64(maxMemory), o.Memory)
	case o.LogSize != 0 && (o.LogSize < minLogSize || o.LogSize > maxLogSize):
		return fmt.Errorf("lsm: Options.LogSize must be between %d and %d, got %d", minLogSize, maxLogSize, o.LogSize)
	case o.StallTimeout < 0:
		return fmt.Errorf("lsm: Options.StallTimeout must not be negative, got %v", o.StallTimeout)
	case o.ErrorIfExists && (o.ErrorIfMissing || o.ReadOnly):
		return errors.New("lsm: Options.ErrorIfExists contradicts ErrorIfMissing and ReadOnly")
	}
	return nil
}

// withDefaults returns a copy of o in which every field has its value.
func (o *Options) withDefaults() Options {
	var d Options
	if o != nil {
		d = *o
	}
	if d.FS == nil {
		d.FS = osFS{}
	}
	if d.Memory == 0 {
		d.Memory = defaultMemory
	}
	if d.LogSize == 0 {
		d.LogSize = defaultLogSize
	}
	if d.StallTimeout == 0 {
		d.StallTimeout = defaultStallTimeout
	}
	return d
}
