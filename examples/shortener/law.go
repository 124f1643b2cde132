// SPDX-License-Identifier: MIT

package main

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/ashlar-go/ashlar/lsm"
)

// A promise is what somebody was told about a link.
type promise struct {
	code, url string
	ends      int64 // 0: it does not
}

// check checks the laws of the database, and that no promise is broken. It
// returns the number of links that have no alias, and of those that have.
func (l *Links) check(promises []promise) (links, aliases int, err error) {
	rows, err := l.rows()
	if err != nil {
		return 0, 0, err
	}
	reserved, err := getUint(l.db, countRow)
	if err != nil {
		return 0, 0, err
	}

	// Codes and URLs are a bijection, and each code has a number of its own
	// that no later one gets.
	for code, v := range rows.links {
		if v.Alias {
			aliases++
			continue
		}
		links++
		if back := rows.urls[v.URL]; back != code {
			return 0, 0, fmt.Errorf("%s leads to %s, which has the code %q", code, v.URL, back)
		}
		if n, ok := l.perm.number(code); !ok || n >= reserved {
			return 0, 0, fmt.Errorf("%s has the number %d, and %d are reserved", code, n, reserved)
		}
		if v.Ends != 0 && !rows.ends[string(endKey(v.Ends, code))] {
			return 0, 0, fmt.Errorf("%s ends, and nothing will sweep it", code)
		}
	}
	if len(rows.urls) != links {
		return 0, 0, fmt.Errorf("%d URLs have codes, and %d codes are no aliases", len(rows.urls), links)
	}

	for _, p := range promises {
		v, ok := rows.links[p.code]
		if !ok || v.URL != p.url {
			return 0, 0, fmt.Errorf("%s was to lead to %s, and leads to %q", p.code, p.url, v.URL)
		}
		if v.Ends != 0 && (p.ends == 0 || v.Ends < p.ends) {
			return 0, 0, fmt.Errorf("%s ends at %d, and was to last until %d (0: forever)", p.code, v.Ends, p.ends)
		}
		if !l.mayKnow(p.code) {
			return 0, 0, fmt.Errorf("the filter does not know %s", p.code)
		}
		if hot, ok := l.hot.Peek(p.code); ok && hot != v {
			return 0, 0, fmt.Errorf("the cache has %+v for %s, and the database %+v", hot, p.code, v)
		}
	}
	return links, aliases, nil
}

// rows are all links, and what finds them.
type rows struct {
	links map[string]link
	urls  map[string]string
	ends  map[string]bool
}

// rows reads them in one state of the database.
func (l *Links) rows() (*rows, error) {
	r := &rows{links: map[string]link{}, urls: map[string]string{}, ends: map[string]bool{}}
	snap := l.db.Snapshot()
	err := errors.Join(
		each(snap, codeRow, func(k string, v []byte) error {
			var to link
			err := json.Unmarshal(v, &to)
			r.links[k] = to
			return err
		}),
		each(snap, urlRow, func(k string, v []byte) error { r.urls[k] = string(v); return nil }),
		each(snap, endRow, func(k string, _ []byte) error { r.ends[endRow+k] = true; return nil }),
		each(snap, clickRow, func(k string, v []byte) error {
			if len(v) != 8 || binary.BigEndian.Uint64(v) == 0 {
				return fmt.Errorf("a count of clicks of %s is % x", k, v)
			}
			return nil
		}),
		snap.Close(),
	)
	return r, err
}

// each calls f for each row with a prefix, which its key does not have then.
func each(snap *lsm.Snapshot, prefix string, f func(key string, value []byte) error) error {
	it := snap.Prefix([]byte(prefix))
	var err error
	for k, v := range it.All() {
		if err = f(string(k[len(prefix):]), v); err != nil {
			break
		}
	}
	return errors.Join(err, it.Close())
}
