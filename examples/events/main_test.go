// SPDX-License-Identifier: MIT

package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/ashlar-go/ashlar/lsm"
)

var update = flag.Bool("update", false, "write testdata/golden.txt")

// runProgram runs the program and returns what it prints to stdout.
func runProgram(ctx context.Context, args ...string) (string, error) {
	var stdout bytes.Buffer
	err := run(ctx, args, &stdout, io.Discard)
	return stdout.String(), err
}

// TestGolden pins the report.
func TestGolden(t *testing.T) {
	got, err := runProgram(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	golden := filepath.Join("testdata", "golden.txt")
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}

	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("report differs from %s; run with -update and look at the difference. Got:\n%s", golden, got)
	}
	for line := range strings.Lines(got) {
		if n := len([]rune(strings.TrimSuffix(line, "\n"))); n > 80 {
			t.Errorf("a line of %d columns: %s", n, line)
		}
	}
}

// TestPropShop sells any orders in any way: the services have done the same.
func TestPropShop(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		shops := []*shop{newShop(), newShop(), newShop()}
		for id := range rapid.IntRange(0, 5).Draw(t, "orders") {
			o := &order{id: id}
			for range rapid.IntRange(0, 3).Draw(t, "lines") {
				o.lines = append(o.lines, line{
					rapid.SampledFrom([]string{"cup", "spoon"}).Draw(t, "item"),
					rapid.IntRange(1, 3).Draw(t, "quantity"), rapid.IntRange(1, 99).Draw(t, "price"),
				})
			}
			for i, how := range []string{"calls", "event notification", "event-carried state"} {
				shops[i].sell(how, o)
			}
		}
		for _, s := range shops[1:] {
			if fmt.Sprint(s.stock, s.mails, s.income) != fmt.Sprint(shops[0].stock, shops[0].mails, shops[0].income) {
				t.Fatalf("%v %v %d, want %v %v %d", s.stock, s.mails, s.income, shops[0].stock, shops[0].mails, shops[0].income)
			}
		}
	})
}

// TestFaults checks that each law sees what breaks it.
func TestFaults(t *testing.T) {
	// A shop that forgets a service.
	s := newShop()
	s.inventory(&theOrder)
	s.analytics(&theOrder)
	if err := s.check(); err == nil {
		t.Error("no mail: no error")
	}

	// A bus on which one panic ends the round.
	if b, seen, _ := faulty(true); seen[2] == len(b.log) {
		t.Errorf("with a broken bus the consumers have seen %v", seen)
	}

	// A bank whose change and event are two batches loses one of them.
	for _, refuses := range []bool{true, false} {
		if _, err := enumerate(t.Context(), refuses, true); err == nil {
			t.Errorf("refuses %t, two batches: no power cut breaks the law", refuses)
		}
	}
	if err := checkBank(lsm.NewMemFS(), true); err == nil {
		t.Error("an empty bank: no error")
	}

	// Messages that are lost, doubled, out of order, or of another room.
	for name, heard := range map[string][]string{
		"lost": {"a/0", "c/0"}, "doubled": {"a/0", "a/0", "c/0", "c/1"}, "order": {"a/1", "a/0", "c/0", "c/1"},
		"another room": {"a/0", "a/1", "c/0", "c/1", "b/0"},
	} {
		c := &chat{heard: make([][]string, len(members))}
		c.heard[0] = heard
		if err := c.check(2); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// TestNarrative checks the figures of the stories.
func TestNarrative(t *testing.T) {
	if theOrder.total() != 130 || naive(0) != 950 || naive(1) != 900 {
		t.Errorf("the order is %d, and %d and %d are left, want 130, 950 and 900", theOrder.total(), naive(0), naive(1))
	}
	for _, messages := range []int{1, 50} {
		if err := reportChat(t.Context(), messages, io.Discard); err != nil {
			t.Error(err)
		}
	}
}

// TestServer checks what a server of the chat answers to bad requests.
func TestServer(t *testing.T) {
	c, stop, err := startChat(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{"/send": "400", "/none": "404"} {
		resp, err := c.client.Post(c.urls[0]+path, "application/json", strings.NewReader("{"))
		if err != nil {
			t.Fatal(err)
		}
		if err := resp.Body.Close(); err != nil || !strings.HasPrefix(resp.Status, want) {
			t.Errorf("%s: %s, %v, want %s", path, resp.Status, err, want)
		}
	}
	if err := send(t.Context(), c.client, c.urls[0]+"/none", message{}); err == nil {
		t.Error("send to nowhere: no error")
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}

// TestInput checks that bad flags are errors of the input, in one line.
func TestInput(t *testing.T) {
	for _, args := range [][]string{{"-messages", "0"}, {"-messages", "1001"}, {"-messages", "x"}, {"-bad"}, {"more"}} {
		out, err := runProgram(t.Context(), args...)
		if !errors.As(err, new(*inputError)) || strings.Contains(err.Error(), "\n") || out != "" {
			t.Errorf("%v: err = %v and %d bytes of a report, want one line about the input", args, err, len(out))
		}
	}
	var help bytes.Buffer
	if err := run(t.Context(), []string{"-help"}, io.Discard, &help); err != nil || !strings.Contains(help.String(), "-messages") {
		t.Errorf("-help: %v, and %q", err, &help)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := runProgram(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("after Ctrl-C: %v", err)
	}
}
