// SPDX-License-Identifier: MIT

package main

import (
	_ "embed"
	"errors"
	"html/template"
	"net/http"
)

//go:embed page.html
var pageHTML string

// page is for people. It needs no script, and escapes what it shows.
var page = template.Must(template.New("page").Parse(pageHTML))

// A view is what a page shows.
type view struct {
	Error   string
	Link    *answer
	Form    bool
	Request request
}

// show writes a page that runs no script and loads nothing, whatever is in it,
// and that no other site may put into a frame.
func (s *service) show(w http.ResponseWriter, status int, v view) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Content-Security-Policy",
		"default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'; frame-ancestors 'self'")
	w.WriteHeader(status)
	_ = page.Execute(w, v) // an error is one of the connection
}

func (s *service) getPage(w http.ResponseWriter, _ *http.Request) {
	s.show(w, http.StatusOK, view{Form: true})
}

// postPage makes the link of a form.
func (s *service) postPage(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	if err := r.ParseForm(); err != nil {
		s.showError(w, http.StatusBadRequest, errors.New("this is no form"))
		return
	}
	q := request{URL: r.PostForm.Get("url"), Alias: r.PostForm.Get("alias"), TTL: r.PostForm.Get("ttl")}
	a, status, err := s.shorten(w, r, q)
	if err != nil {
		s.show(w, status, view{Error: words(status, err), Form: true, Request: q})
		return
	}
	s.show(w, status, view{Link: a, Form: true})
}

// showLink shows where a link leads, and does not count it as a click.
func (s *service) showLink(w http.ResponseWriter, r *http.Request, code string, v link) {
	s.show(w, http.StatusOK, view{Link: s.about(r, code, v)})
}

func (s *service) showError(w http.ResponseWriter, status int, err error) {
	s.show(w, status, view{Error: words(status, err)})
}

// words says what went wrong to a stranger.
func words(status int, err error) string {
	if status >= http.StatusInternalServerError {
		return "the database fails"
	}
	return err.Error()
}
