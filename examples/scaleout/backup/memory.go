// SPDX-License-Identifier: MIT

package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"sync"
)

// A memory is a store in memory, which knows in what order things came.
type memory struct {
	mu      sync.Mutex // protects the fields below
	objects map[string][]byte
	order   []string // of names that were put
}

func newMemory() *memory { return &memory{objects: map[string][]byte{}} }

func (m *memory) put(_ context.Context, name string, size int64, body func() io.Reader) error {
	b, err := io.ReadAll(body())
	if err != nil {
		return err
	}
	if int64(len(b)) != size {
		return fmt.Errorf("%s has %d bytes, want %d", name, len(b), size)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.objects[name]; ok {
		return fmt.Errorf("%s: %w", name, fs.ErrExist)
	}
	m.objects[name] = b
	m.order = append(m.order, name)
	return nil
}

func (m *memory) get(_ context.Context, name string) (io.ReadCloser, int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	b, ok := m.objects[name]
	if !ok {
		return nil, 0, fmt.Errorf("%s: %w", name, fs.ErrNotExist)
	}
	return io.NopCloser(bytes.NewReader(b)), int64(len(b)), nil
}

func (m *memory) list(_ context.Context, prefix string) ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	names := slices.Sorted(maps.Keys(m.objects))
	return slices.DeleteFunc(names, func(n string) bool { return !strings.HasPrefix(n, prefix) }), nil
}

func (m *memory) remove(_ context.Context, name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.objects, name)
	return nil
}

// first returns what m had after n puts, if nothing was removed.
func (m *memory) first(n int) *memory {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := newMemory()
	for _, name := range m.order[:n] {
		c.objects[name] = m.objects[name]
	}
	c.order = slices.Clone(m.order[:n])
	return c
}

// clone returns a copy.
func (m *memory) clone() *memory {
	m.mu.Lock()
	defer m.mu.Unlock()
	return &memory{objects: maps.Clone(m.objects), order: slices.Clone(m.order)}
}

// size returns how many objects there are, and their bytes.
func (m *memory) size() (n int, bytes int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, b := range m.objects {
		bytes += int64(len(b))
	}
	return len(m.objects), bytes
}

var _ store = (*memory)(nil)
