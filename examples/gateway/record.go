// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"os"
	"sync/atomic"
	"time"
)

// A record is what the gateway knows of a request when it has been answered.
type record struct {
	status int
	bytes  int64
	server atomic.Pointer[string] // that was asked last; nil if none was
}

type recordKey struct{}

// recordOf returns the record of the request of ctx, or nil.
func recordOf(ctx context.Context) *record {
	r, _ := ctx.Value(recordKey{}).(*record)
	return r
}

// answeredBy notes the server that is asked. Nil is a request of which nobody
// keeps a record.
func (r *record) answeredBy(server string) {
	if r != nil {
		r.server.Store(&server)
	}
}

// observe returns next behind the meter and the access log: what happens to
// each request, whoever answers it.
func observe(next http.Handler, m *meter, access *slog.Logger, now func() time.Time) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rec := &record{status: http.StatusOK}
		at, start := now(), time.Now()

		// A broken answer ends with a panic, and is counted as well.
		defer func() {
			took := time.Since(start)
			m.observe(rec.status, took)
			rec.log(access, r, at, took)
		}()
		next.ServeHTTP(&recorder{w, rec}, r.WithContext(context.WithValue(r.Context(), recordKey{}, rec)))
	})
}

// log writes a line of the access log, stamped with the time at which the
// request came.
func (r *record) log(access *slog.Logger, req *http.Request, at time.Time, took time.Duration) {
	if access == nil {
		return
	}
	line := slog.NewRecord(at, slog.LevelInfo, "request", 0)
	line.Add("client", clientOf(req), "method", req.Method, "uri", req.URL.RequestURI(),
		"status", r.status, "bytes", r.bytes, "took", took)
	if server := r.server.Load(); server != nil {
		line.Add("server", *server)
	}
	_ = access.Handler().Handle(req.Context(), line) // a log that is full stops no request
}

// A recorder notes the status and the length of an answer.
type recorder struct {
	http.ResponseWriter
	record *record
}

func (r *recorder) WriteHeader(status int) {
	if status >= 200 || status == http.StatusSwitchingProtocols {
		r.record.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Write(p []byte) (int, error) {
	n, err := r.ResponseWriter.Write(p)
	r.record.bytes += int64(n)
	return n, err
}

// Unwrap is for [http.ResponseController]: answers that are streamed are
// flushed, and connections that change their protocol taken over.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// openLog returns the file of that name, at whose end the log goes on, or
// stderr if it is "-".
func openLog(name string, stderr io.Writer) (io.WriteCloser, error) {
	if name == "-" {
		return struct {
			io.Writer
			io.Closer
		}{stderr, io.NopCloser(nil)}, nil
	}
	f, err := os.OpenFile(name, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, &inputError{err}
	}
	return f, nil
}

// newAccessLog returns a logger that writes a line of JSON for each request.
func newAccessLog(w io.Writer) *slog.Logger {
	return slog.New(slog.NewJSONHandler(w, nil))
}
