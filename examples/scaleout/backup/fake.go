// SPDX-License-Identifier: MIT

package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"io"
	"io/fs"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// A fake is a server with one bucket of objects in memory, to which one talks
// as to S3. It can fail, and lose its answers.
type fake struct {
	client  *s3 // that reaches it
	objects *memory

	server *http.Server
	done   chan struct{} // closed when the server has ended

	mu   sync.Mutex // protects the fields below
	seen int        // requests

	// Of the faults that it has at will: all requests fail, one in so many, one
	// in so many is done and its answer is lost, and half is called in the
	// middle of each put, and says whether the rest is lost. None if zero.
	down                 bool
	failEvery, loseEvery int
	half                 func(name string) (cut bool)

	keepHalf bool // in tests: it keeps what it has of a put that was cut
}

// pageLen is how many names an answer has: S3 has 1000.
const pageLen = 50

// newFake starts a fake on the loopback interface.
func newFake(ctx context.Context) (*fake, error) {
	ln, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	f := &fake{objects: newMemory(), done: make(chan struct{})}
	f.client = fakeClient("http://" + ln.Addr().String())
	f.server = &http.Server{Handler: f, ReadHeaderTimeout: 10 * time.Second}
	go func() { // ends with close
		_ = f.server.Serve(ln) // it says that it was closed
		close(f.done)
	}()
	return f, nil
}

// fakeClient returns a client of the fake at a URL.
func fakeClient(url string) *s3 {
	return &s3{
		endpoint: url, bucket: "backups", region: "eu-central-1", key: "fake", secret: "no secret",
		client: &http.Client{Timeout: 30 * time.Second},
	}
}

func (f *fake) close() error {
	err := f.server.Close()
	<-f.done
	return err
}

// set changes the faults.
func (f *fake) set(change func(f *fake)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(f)
}

// ServeHTTP answers a request.
func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Authorization") != f.client.sign(r) {
		http.Error(w, "SignatureDoesNotMatch", http.StatusForbidden)
		return
	}
	name, ok := strings.CutPrefix(r.URL.Path, "/"+f.client.bucket+"/")
	if !ok {
		http.Error(w, "NoSuchBucket", http.StatusNotFound)
		return
	}

	f.mu.Lock()
	f.seen++
	fails := f.down || f.failEvery > 0 && f.seen%f.failEvery == 0
	loses := f.loseEvery > 0 && f.seen%f.loseEvery == 0
	f.mu.Unlock()
	if fails {
		http.Error(w, "SlowDown", http.StatusServiceUnavailable)
		return
	}
	if loses {
		f.answer(discard{}, r, name)
		panic(http.ErrAbortHandler) // the connection is closed
	}
	f.answer(w, r, name)
}

// discard is an answer that is lost.
type discard struct{}

func (discard) Header() http.Header         { return http.Header{} }
func (discard) Write(b []byte) (int, error) { return len(b), nil }
func (discard) WriteHeader(int)             {}

func (f *fake) answer(w http.ResponseWriter, r *http.Request, name string) {
	switch {
	case r.Method == http.MethodPut:
		f.put(w, r, name)
	case r.Method == http.MethodGet && name == "":
		f.list(w, r)
	case r.Method == http.MethodGet:
		body, size, err := f.objects.get(r.Context(), name)
		if err != nil {
			http.Error(w, "NoSuchKey", http.StatusNotFound)
			return
		}
		w.Header().Set("Content-Length", strconv.FormatInt(size, 10))
		_, _ = io.Copy(w, body) // the client tells
	case r.Method == http.MethodDelete:
		_ = f.objects.remove(r.Context(), name) // memory removes anything
		w.WriteHeader(http.StatusNoContent)
	default:
		http.Error(w, "MethodNotAllowed", http.StatusMethodNotAllowed)
	}
}

// put takes an object, if all of it arrives.
func (f *fake) put(w http.ResponseWriter, r *http.Request, name string) {
	f.mu.Lock()
	half := f.half
	f.mu.Unlock()
	b, err := io.ReadAll(io.LimitReader(r.Body, r.ContentLength/2))
	if half != nil && half(name) {
		err = io.ErrUnexpectedEOF
	}
	if err == nil {
		var rest []byte
		rest, err = io.ReadAll(r.Body)
		b = append(b, rest...)
	}
	sum := sha256.Sum256(b)
	if err == nil && r.Header.Get("X-Amz-Content-Sha256") != hex.EncodeToString(sum[:]) {
		err = errors.New("XAmzContentSHA256Mismatch")
	}
	if err != nil && !f.keepHalf {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}

	if r.Header.Get("If-None-Match") != "*" {
		http.Error(w, "objects never change here", http.StatusNotImplemented)
		return
	}
	err = f.objects.put(r.Context(), name, int64(len(b)), func() io.Reader { return bytes.NewReader(b) })
	if errors.Is(err, fs.ErrExist) {
		http.Error(w, "PreconditionFailed", http.StatusPreconditionFailed)
	}
}

// list writes a page of names.
func (f *fake) list(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	names, _ := f.objects.list(r.Context(), query.Get("prefix")) // memory lists anything
	var answer listing
	for _, n := range names {
		if n <= query.Get("continuation-token") {
			continue
		}
		if len(answer.Contents) == pageLen {
			answer.NextContinuationToken = answer.Contents[pageLen-1].Key
			break
		}
		answer.Contents = append(answer.Contents, struct{ Key string }{n})
	}
	_ = xml.NewEncoder(w).Encode(answer) // the client tells
}
