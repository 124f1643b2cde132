// SPDX-License-Identifier: MIT

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ashlar-go/ashlar/lsm"
)

// TestMain is a machine that is to be lost when a test starts it as a process.
func TestMain(m *testing.M) {
	if text := os.Getenv(childEnv); text != "" {
		if err := machine(context.Background(), text, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// laws are those that the report has.
const laws = 7

// TestLaws runs the program.
func TestLaws(t *testing.T) {
	var out strings.Builder
	if err := run(t.Context(), []string{"-seed", "2"}, &out, io.Discard); err != nil {
		t.Fatalf("%v, after:\n%s", err, &out)
	}
	if n := strings.Count(out.String(), "law holds"); n != laws {
		t.Errorf("%d laws hold, want %d:\n%s", n, laws, &out)
	}
	for _, want := range []string{
		"restored to 14:25:00:    150 commits",
		"a copy every 5 minutes   at worst      5m0s,   30 commits",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in the report:\n%s", want, &out)
		}
	}
	for line := range strings.Lines(out.String()) {
		if n := len([]rune(strings.TrimSuffix(line, "\n"))); n > 80 {
			t.Errorf("a line of %d columns: %s", n, line)
		}
	}
}

// TestFaults checks that the laws see what breaks them.
func TestFaults(t *testing.T) {
	for name, tt := range map[string]struct {
		f    faults
		laws []func(*story, context.Context, io.Writer) error // of which one is broken
	}{
		"a table after its segment":   {faults{tablesLate: true}, []func(*story, context.Context, io.Writer) error{(*story).cuts}},
		"a manifest is not noticed":   {faults{noRename: true}, []func(*story, context.Context, io.Writer) error{(*story).points}},
		"times of the shipper":        {faults{late: true}, []func(*story, context.Context, io.Writer) error{(*story).points}},
		"half a beginning":            {faults{anyBase: true}, []func(*story, context.Context, io.Writer) error{(*story).cuts, (*story).points}},
		"no sums":                     {faults{noSums: true}, []func(*story, context.Context, io.Writer) error{(*story).damage}},
		"tables of others are pruned": {faults{pruneAll: true}, []func(*story, context.Context, io.Writer) error{(*story).retention}},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := tell(t.Context(), 1, &tt.f)
			if err != nil {
				t.Fatal(err)
			}
			for _, law := range tt.laws {
				if err := law(s, t.Context(), io.Discard); err != nil {
					t.Log(err)
					return
				}
			}
			t.Error("no law is broken")
		})
	}

	// Files that go before they are shipped stop the archive.
	if err := reportAway(t.Context(), &config{seed: 1, f: &faults{removeAtOnce: true}}, io.Discard); !errors.Is(err, errFatal) {
		t.Errorf("files are removed at once: %v", err)
	}
}

// TestKeepHalf checks that a store that keeps half an object is found out.
func TestKeepHalf(t *testing.T) {
	f, err := newFake(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.close() }()
	f.set(func(f *fake) {
		f.keepHalf = true
		f.half = func(string) bool { return f.keepHalf }
	})
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	a, err := newArchive(t.Context(), lsm.NewMemFS(), "db", f.client, archiveOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer a.close()
	_ = a.flush(ctx) // in vain, or not
	if _, err := restore(t.Context(), f.client, lsm.NewMemFS(), "db", time.Now(), new(faults)); !errors.Is(err, errDamaged) {
		t.Errorf("restored from half a segment: %v", err)
	}
}

// TestTwo checks that of two archives that ship to one store the one counts
// that began later, and that neither overwrites the other.
func TestTwo(t *testing.T) {
	ctx := t.Context()
	st := newMemory()
	var archives []*archive
	var dbs []*lsm.DB
	for i := range 2 {
		a, err := newArchive(ctx, lsm.NewMemFS(), "db", st, archiveOptions{})
		if err != nil {
			t.Fatal(err)
		}
		defer a.close()
		db, err := lsm.Open("db", dbOptions(a))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = db.Close() }()
		if err := errors.Join(history{seed: uint64(i)}.apply(ctx, db, 1), a.flush(ctx)); err != nil {
			t.Fatal(err)
		}
		archives, dbs = append(archives, a), append(dbs, db)
	}

	// The first goes on, in its own generation.
	if err := errors.Join(history{seed: 0}.apply(ctx, dbs[0], 2), archives[0].flush(ctx)); err != nil {
		t.Fatal(err)
	}
	if n, err := (history{seed: 1}).restored(ctx, st, new(faults)); n != 1 || err != nil {
		t.Errorf("it has %d commits of the second, %v", n, err)
	}
}

// TestStore checks the contract of a store on each.
func TestStore(t *testing.T) {
	f, err := newFake(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.close() }()
	for name, st := range map[string]store{"memory": newMemory(), "s3": f.client} {
		t.Run(name, func(t *testing.T) {
			ctx := t.Context()
			var want []string
			put := func(name, content string) error {
				return st.put(ctx, name, int64(len(content)), func() io.Reader { return strings.NewReader(content) })
			}
			for i := range 2*pageLen + 1 {
				name := fmt.Sprintf("a/%04d ü+&=~", i)
				want = append(want, name)
				if err := put(name, name); err != nil {
					t.Fatal(err)
				}
			}
			if err := put("b", ""); err != nil {
				t.Fatal(err)
			}

			if err := put("b", "other"); !errors.Is(err, fs.ErrExist) {
				t.Errorf("put twice: %v", err)
			}
			if got, err := st.list(ctx, "a/"); err != nil || !slices.Equal(got, want) {
				t.Errorf("list has %d names, %v, want %d", len(got), err, len(want))
			}
			body, size, err := st.get(ctx, want[7])
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(body)
			if string(got) != want[7] || size != int64(len(got)) || err != nil || body.Close() != nil {
				t.Errorf("get %q of %d bytes, %v", got, size, err)
			}
			for range 2 {
				if err := st.remove(ctx, want[7]); err != nil {
					t.Error(err)
				}
			}
			if _, _, err := st.get(ctx, want[7]); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("get of what was removed: %v", err)
			}
		})
	}

	// A wrong secret, and a body that was changed on the way.
	other := *f.client
	other.secret = "guessed"
	if _, err := other.list(t.Context(), ""); err == nil || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("with a wrong secret: %v", err)
	}
	calls := 0
	err = f.client.put(t.Context(), "changed", 1, func() io.Reader {
		calls++
		return bytes.NewReader([]byte{byte(calls)})
	})
	if err == nil || f.objects.objects["changed"] != nil {
		t.Errorf("changed on the way: %v", err)
	}
}

// TestSign checks signatures against the examples of "Authenticating Requests:
// Using the Authorization Header" in the reference of Amazon S3.
func TestSign(t *testing.T) {
	s := &s3{region: "us-east-1", key: "AKIAIOSFODNN7EXAMPLE", secret: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"}
	for target, want := range map[string]string{
		"/test.txt":             "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
		"/?lifecycle":           "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
		"/?max-keys=2&prefix=J": "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
	} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://examplebucket.s3.amazonaws.com"+target, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("X-Amz-Date", "20130524T000000Z")
		r.Header.Set("X-Amz-Content-Sha256", sumOfNothing)
		if target == "/test.txt" {
			r.Header.Set("Range", "bytes=0-9")
		}
		if got := s.sign(r); !strings.HasSuffix(got, "Signature="+want) {
			t.Errorf("%s: %s, want %s", target, got, want)
		}
	}
}

// TestRestoreInto checks that a restore does not touch what is there.
func TestRestoreInto(t *testing.T) {
	fsys := lsm.NewMemFS()
	f, err := fsys.Create("db/precious")
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := restore(t.Context(), newMemory(), fsys, "db", time.Now(), new(faults)); err == nil {
		t.Error("restored into a directory with a file")
	}
	if _, err := restore(t.Context(), newMemory(), lsm.NewMemFS(), "db", time.Now(), new(faults)); !errors.Is(err, errNoPoint) {
		t.Errorf("restored from an empty store: %v", err)
	}
}

// TestInput checks that a wrong flag is an error of the input.
func TestInput(t *testing.T) {
	for _, args := range []string{"-seed x", "-nosuch", "stray"} {
		if err := run(t.Context(), strings.Fields(args), io.Discard, io.Discard); !errors.As(err, new(*inputError)) {
			t.Errorf("%s: %v", args, err)
		}
	}
	if err := run(t.Context(), []string{"-h"}, io.Discard, io.Discard); err != nil {
		t.Errorf("-h: %v", err)
	}
}
