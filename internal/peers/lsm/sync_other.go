//go:build !linux

// SPDX-License-Identifier: MIT

package lsm

import "os"

func datasync(f *os.File) error { return f.Sync() }
