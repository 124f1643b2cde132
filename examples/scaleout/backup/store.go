// SPDX-License-Identifier: MIT

package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"time"
)

// A store keeps objects. Names have slashes, and an object never changes. All
// methods are safe for concurrent use.
type store interface {
	// put makes an object of size bytes, as a whole or not at all. body returns
	// them from the first on, once for each time that they are read. If there
	// is such an object, the error is [fs.ErrExist]. After another error the
	// object may be there.
	put(ctx context.Context, name string, size int64, body func() io.Reader) error

	// get returns an object and its size; [fs.ErrNotExist] if there is none.
	get(ctx context.Context, name string) (body io.ReadCloser, size int64, err error)

	// list returns the names that begin with prefix, sorted.
	list(ctx context.Context, prefix string) ([]string, error)

	// remove removes an object, if it is there.
	remove(ctx context.Context, name string) error
}

// errDamaged is the error of an object that is not what was put there, or that
// is missing.
var errDamaged = errors.New("damaged")

// An object ends with the SHA-256 of its name, a line feed and its content: so
// one that was cut, changed or put in the place of another is found.

// sumOf returns the sum of an object.
func sumOf(name string, content io.Reader) ([]byte, error) {
	h := sha256.New()
	fmt.Fprintf(h, "%s\n", name)
	if _, err := io.Copy(h, content); err != nil {
		return nil, err
	}
	return h.Sum(nil), nil
}

// putSealed puts an object of n bytes of content with its sum, and returns
// that.
func putSealed(ctx context.Context, st store, name string, n int64, content func() io.Reader) ([]byte, error) {
	sum, err := sumOf(name, content())
	if err != nil {
		return nil, err
	}
	return sum, st.put(ctx, name, n+int64(len(sum)), func() io.Reader {
		return io.MultiReader(content(), bytes.NewReader(sum))
	})
}

// getSealed writes the content of an object to w, and returns its sum. What it
// has written counts only if there is no error.
func getSealed(ctx context.Context, st store, name string, w io.Writer, f *faults) ([]byte, error) {
	body, size, err := st.get(ctx, name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s is missing: %w", name, errDamaged)
	}
	if err != nil {
		return nil, err
	}
	defer body.Close()

	sum := make([]byte, sha256.Size)
	if size < int64(len(sum)) {
		return nil, fmt.Errorf("%s was cut: %w", name, errDamaged)
	}
	got, err := sumOf(name, io.TeeReader(io.LimitReader(body, size-int64(len(sum))), w))
	if err == nil {
		_, err = io.ReadFull(body, sum)
	}
	if err != nil {
		return nil, err // it has not arrived: that is no damage
	}
	if !bytes.Equal(got, sum) && !f.noSums {
		return nil, fmt.Errorf("%s has another sum: %w", name, errDamaged)
	}
	return sum, nil
}

// getAll returns the content of an object and its sum, and tries a few times.
func getAll(ctx context.Context, st store, name string, f *faults) (content, sum []byte, err error) {
	var buf bytes.Buffer
	err = retry(ctx, func() error {
		buf.Reset()
		sum, err = getSealed(ctx, st, name, &buf, f)
		return err
	})
	return buf.Bytes(), sum, err
}

// faults are what goes wrong without it, in tests.
type faults struct {
	tablesLate   bool // a table goes after the segment that names it
	removeAtOnce bool // files go from the disk before the store has them
	noRename     bool // a manifest that gets its name is not noticed
	late         bool // times are those of the shipper, a minute later
	anyBase      bool // a generation counts before its beginning is complete
	noSums       bool // sums are not checked
	pruneAll     bool // all tables of a generation go with it
}

// Of what fails for a while.
const (
	tries      = 8
	firstPause = 10 * time.Millisecond
	mostPause  = 5 * time.Second
)

// retry calls f again after an error that may pass.
func retry(ctx context.Context, f func() error) error {
	pause := firstPause
	for n := 1; ; n++ {
		err := f()
		if err == nil || n == tries || errors.Is(err, errDamaged) {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
		pause = min(2*pause, mostPause)
	}
}

// listAll lists objects, and tries a few times.
func listAll(ctx context.Context, st store, prefix string) (names []string, err error) {
	err = retry(ctx, func() error {
		names, err = st.list(ctx, prefix)
		return err
	})
	return names, err
}
