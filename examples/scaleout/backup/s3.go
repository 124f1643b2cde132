// SPDX-License-Identifier: MIT

package main

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// An s3 keeps objects in a bucket of Amazon S3, or of what speaks like it. The
// bucket is the first part of the path. Requests are signed (version 4) with
// the sum of their body, so that a server refuses what was changed on the way.
type s3 struct {
	endpoint string // such as https://s3.eu-central-1.amazonaws.com
	bucket   string
	region   string
	key      string // name of the secret
	secret   string
	client   *http.Client
}

func (s *s3) put(ctx context.Context, name string, size int64, body func() io.Reader) error {
	h := sha256.New()
	if _, err := io.Copy(h, body()); err != nil {
		return err
	}
	r, err := s.request(ctx, http.MethodPut, name, nil, hex.EncodeToString(h.Sum(nil)))
	if err != nil {
		return err
	}
	r.Body = io.NopCloser(body())
	r.ContentLength = size
	r.Header.Set("If-None-Match", "*") // an object never changes
	answer, err := s.client.Do(r)
	if err != nil {
		return err
	}
	return checkAnswer(answer, name)
}

func (s *s3) get(ctx context.Context, name string) (io.ReadCloser, int64, error) {
	r, err := s.request(ctx, http.MethodGet, name, nil, sumOfNothing)
	if err != nil {
		return nil, 0, err
	}
	answer, err := s.client.Do(r)
	if err != nil {
		return nil, 0, err
	}
	if answer.StatusCode != http.StatusOK {
		return nil, 0, checkAnswer(answer, name)
	}
	if answer.ContentLength < 0 {
		_ = answer.Body.Close() // it is of no use
		return nil, 0, fmt.Errorf("s3: %s has no length", name)
	}
	return answer.Body, answer.ContentLength, nil
}

// A listing is an answer of ListObjectsV2, of which one has up to 1000 names.
type listing struct {
	XMLName  xml.Name `xml:"ListBucketResult"`
	Contents []struct {
		Key string
	}
	NextContinuationToken string `xml:",omitempty"`
}

func (s *s3) list(ctx context.Context, prefix string) (names []string, err error) {
	query := url.Values{"list-type": {"2"}, "prefix": {prefix}}
	for {
		r, err := s.request(ctx, http.MethodGet, "", query, sumOfNothing)
		if err != nil {
			return nil, err
		}
		answer, err := s.client.Do(r)
		if err != nil {
			return nil, err
		}
		if answer.StatusCode != http.StatusOK {
			return nil, checkAnswer(answer, prefix)
		}
		var page listing
		err = xml.NewDecoder(answer.Body).Decode(&page)
		_ = answer.Body.Close() // it was read
		if err != nil {
			return nil, fmt.Errorf("s3: list %s: %w", prefix, err)
		}

		for _, c := range page.Contents {
			names = append(names, c.Key)
		}
		if page.NextContinuationToken == "" {
			slices.Sort(names)
			return names, nil
		}
		query.Set("continuation-token", page.NextContinuationToken)
	}
}

func (s *s3) remove(ctx context.Context, name string) error {
	r, err := s.request(ctx, http.MethodDelete, name, nil, sumOfNothing)
	if err != nil {
		return err
	}
	answer, err := s.client.Do(r)
	if err != nil {
		return err
	}
	return checkAnswer(answer, name)
}

// checkAnswer ends a request whose answer has nothing to read but an error.
func checkAnswer(answer *http.Response, name string) error {
	text, err := io.ReadAll(io.LimitReader(answer.Body, 1<<10))
	_ = answer.Body.Close() // it was read, as far as it matters
	switch {
	case answer.StatusCode == http.StatusNotFound:
		return fmt.Errorf("s3: %s: %w", name, fs.ErrNotExist)
	case answer.StatusCode == http.StatusPreconditionFailed:
		return fmt.Errorf("s3: %s: %w", name, fs.ErrExist)
	case answer.StatusCode/100 != 2:
		return fmt.Errorf("s3: %s: %s: %s", name, answer.Status, bytes.TrimSpace(text))
	}
	return err
}

// sumOfNothing is the SHA-256 of no bytes.
const sumOfNothing = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

// request returns a signed request without its body, whose SHA-256 is sum.
func (s *s3) request(ctx context.Context, method, name string, query url.Values, sum string) (*http.Request, error) {
	target := s.endpoint + "/" + escape(s.bucket+"/"+name)
	if len(query) > 0 {
		target += "?" + query.Encode()
	}
	r, err := http.NewRequestWithContext(ctx, method, target, nil)
	if err != nil {
		return nil, err
	}
	r.Header.Set("X-Amz-Content-Sha256", sum)
	r.Header.Set("X-Amz-Date", time.Now().UTC().Format("20060102T150405Z"))
	r.Header.Set("Authorization", s.sign(r))
	return r, nil
}

// escape writes a path as signatures want it.
func escape(path string) string {
	return strings.ReplaceAll(strings.ReplaceAll(url.QueryEscape(path), "%2F", "/"), "+", "%20")
}

// sign returns the signature of a request, which is for its method, path and
// query, and for host and headers X-Amz-* and Range.
func (s *s3) sign(r *http.Request) string {
	headers := map[string]string{"host": r.URL.Host}
	if r.URL.Host == "" {
		headers["host"] = r.Host // at a server
	}
	for name, values := range r.Header {
		if n := strings.ToLower(name); strings.HasPrefix(n, "x-amz-") || n == "range" {
			headers[n] = strings.TrimSpace(values[0])
		}
	}
	names := make([]string, 0, len(headers))
	for n := range headers {
		names = append(names, n)
	}
	slices.Sort(names)

	// The request in one form.
	var text strings.Builder
	query := strings.ReplaceAll(r.URL.Query().Encode(), "+", "%20")
	fmt.Fprintf(&text, "%s\n%s\n%s\n", r.Method, escape(r.URL.Path), query)
	for _, n := range names {
		fmt.Fprintf(&text, "%s:%s\n", n, headers[n])
	}
	signed := strings.Join(names, ";")
	fmt.Fprintf(&text, "\n%s\n%s", signed, headers["x-amz-content-sha256"])
	canonical := sha256.Sum256([]byte(text.String()))

	// The secret, bound to the day, the region and the service.
	at := headers["x-amz-date"]
	day, _, _ := strings.Cut(at, "T")
	scope := day + "/" + s.region + "/s3/aws4_request"
	mac := []byte("AWS4" + s.secret)
	for _, part := range []string{day, s.region, "s3", "aws4_request", "AWS4-HMAC-SHA256\n" + at + "\n" + scope + "\n" + hex.EncodeToString(canonical[:])} {
		h := hmac.New(sha256.New, mac)
		h.Write([]byte(part))
		mac = h.Sum(nil)
	}
	return fmt.Sprintf("AWS4-HMAC-SHA256 Credential=%s/%s,SignedHeaders=%s,Signature=%x", s.key, scope, signed, mac)
}

var _ store = (*s3)(nil)
