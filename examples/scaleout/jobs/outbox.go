// SPDX-License-Identifier: MIT

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/ashlar-go/ashlar/examples/scaleout/servers"
	"github.com/ashlar-go/ashlar/lsm"
)

// childEnv has the orders of a shop, in JSON.
const childEnv = "ASHLAR_JOBS_SHOP"

// A shop takes orders into a database, and tells a stream of them.
type shop struct {
	Dir, Addr   string
	NoID        bool // in tests: messages have no ids
	RemoveFirst bool // in tests: what is to be told is removed before it is told
}

// Keys of its database: orders, and those of which the stream is to be told.
const (
	orderKey  = "order/"
	outboxKey = "outbox/"
)

const (
	orders       = 200
	tellAtOnce   = 10
	tellsTo      = "orders."
	ordersStream = "ORDERS"
)

// child is a shop: it goes on where an earlier one was killed.
func child(ctx context.Context, text string, stdout io.Writer) (err error) {
	s := new(shop)
	if err := json.Unmarshal([]byte(text), s); err != nil {
		return err
	}
	db, err := lsm.Open(s.Dir, nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	conn, js, err := connectNATS(s.Addr)
	if err != nil {
		return err
	}
	defer conn.Close()

	// Orders come, and now and then the stream is told of them.
	for n := 1; n <= orders; n++ {
		if err := s.order(ctx, db, n); err != nil {
			return err
		}
		if n%(2*tellAtOnce) == 0 { // so that there is something to be told at each time
			if err := s.tell(ctx, db, js, stdout); err != nil {
				return err
			}
		}
	}
	return s.tell(ctx, db, js, stdout)
}

// order takes an order, unless it is there: the order and that the stream is to
// be told of it are one batch, so that neither is there without the other.
func (s *shop) order(ctx context.Context, db *lsm.DB, n int) error {
	id := fmt.Sprintf("%05d", n)
	if known, err := db.Has([]byte(orderKey + id)); known || err != nil {
		return err
	}
	var b lsm.Batch
	b.Set([]byte(orderKey+id), []byte("a pizza"))
	b.Set([]byte(outboxKey+id), []byte("order "+id))
	return db.Apply(ctx, &b)
}

// tell tells the stream of all orders that it is to be told of, some at once.
func (s *shop) tell(ctx context.Context, db *lsm.DB, js jetstream.JetStream, stdout io.Writer) error {
	for {
		var done lsm.Batch
		var ids, texts []string
		it := db.Prefix([]byte(outboxKey))
		for k, v := range it.All() {
			ids = append(ids, strings.TrimPrefix(string(k), outboxKey))
			texts = append(texts, string(v))
			done.Delete(k)
			if len(ids) == tellAtOnce {
				break
			}
		}
		if err := it.Close(); err != nil || len(ids) == 0 {
			return err
		}

		if s.RemoveFirst {
			if err := db.Apply(ctx, &done); err != nil {
				return err
			}
		}
		for i, id := range ids {
			if err := s.publish(ctx, js, id, texts[i]); err != nil {
				return err
			}
			if _, err := fmt.Fprintln(stdout, "told", id); err != nil {
				return err
			}
		}

		// A kill before this, and they are told again.
		if err := db.Apply(ctx, &done); err != nil {
			return err
		}
	}
}

// publish tells the stream until it has acknowledged. A message that it has
// already is acknowledged, and not kept.
func (s *shop) publish(ctx context.Context, js jetstream.JetStream, id, text string) error {
	opts := []jetstream.PublishOpt{jetstream.WithMsgID("order-" + id)}
	if s.NoID {
		opts = nil
	}
	for {
		call, cancel := context.WithTimeout(ctx, callTimeout)
		_, err := js.Publish(call, tellsTo+id, []byte(text), opts...)
		cancel()
		if err == nil || ctx.Err() != nil {
			return err
		}
		pause(ctx, 20*time.Millisecond)
	}
}

// killAfter are messages after which a shop is killed: in the middle of those
// that are told at once.
var killAfter = []int{15, 38, 64}

// runShop runs a shop until it has told so many, or to its end if that is 0,
// and returns what it has told.
func runShop(ctx context.Context, s *shop, after int) (told int, err error) {
	text, err := json.Marshal(s)
	if err != nil {
		return 0, err
	}
	self, err := os.Executable()
	if err != nil {
		return 0, err
	}
	cmd := exec.CommandContext(ctx, self)
	cmd.Env = append(os.Environ(), childEnv+"="+string(text))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return 0, err
	}
	if err := cmd.Start(); err != nil {
		return 0, err
	}

	// What it writes after that is in the pipe, and was told.
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if told++; told == after {
			if err := cmd.Process.Kill(); err != nil {
				return told, errors.Join(err, cmd.Wait())
			}
		}
	}
	err = cmd.Wait()
	if after > 0 {
		err = nil // it was killed
	}
	return told, errors.Join(ctx.Err(), lines.Err(), err)
}

// reportOutbox kills shops, and the server once.
func (c *config) reportOutbox(ctx context.Context, w io.Writer) (err error) {
	root, err := os.MkdirTemp("", "outbox-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(root)) }()
	dir := filepath.Join(root, "nats")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	server, err := servers.Start(ctx, natsKind, dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.Stop()) }()
	conn, js, err := connectNATS(server.Addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	stream, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: ordersStream, Subjects: []string{tellsTo + "*"}, Duplicates: dedupWindow})
	if err != nil {
		return err
	}

	s := &shop{filepath.Join(root, "db"), server.Addr, c.f.noID, c.f.removeFirst}
	told := 0
	for i, after := range append(killAfter, 0) {
		n, err := runShop(ctx, s, after)
		if err != nil {
			return err
		}
		told += n
		if i == 0 {
			if err := errors.Join(server.Kill(), server.Restart(ctx)); err != nil {
				return err
			}
		}
	}
	return checkStream(ctx, stream, told, w)
}

// checkStream checks that the stream has each order once, and in order.
func checkStream(ctx context.Context, stream jetstream.Stream, told int, w io.Writer) error {
	n := 0
	read := func() error {
		n = 0
		return eachMessage(ctx, stream, func(m *jetstream.RawStreamMsg) error {
			n++
			if want := fmt.Sprintf("%s%05d", tellsTo, n); m.Subject != want {
				return fmt.Errorf("message %d of the stream is %s, want %s: %w", n, m.Subject, want, errOrder)
			}
			return nil
		})
	}

	// The client may be connecting again.
	err := read()
	for range 50 {
		if err == nil || errors.Is(err, errOrder) || ctx.Err() != nil {
			break
		}
		pause(ctx, 50*time.Millisecond)
		err = read()
	}
	if err == nil && n != orders {
		err = fmt.Errorf("the stream has %d orders, want %d", n, orders)
	}
	if err == nil && told <= orders {
		err = fmt.Errorf("%d messages for %d orders: none was told twice", told, orders)
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "an outbox: the shop killed %d times, the server once; %d messages for %d orders\n", len(killAfter), told, orders)
	_, err = fmt.Fprintf(w, "law holds: the stream has each order once, and in order\n")
	return err
}

// errOrder is the error of a stream with the wrong messages.
var errOrder = errors.New("lost or twice")
