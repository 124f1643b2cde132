// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"sync/atomic"

	"github.com/ashlar-go/ashlar/lsm"
)

// The story: an account of 1000, a fee of 50, and a transfer of 900 that fails
// at the other bank.
const (
	opening = 1000
	fee     = 50
	amount  = 900
)

// naive is the bank by publish and subscribe: two subscribers of "transfer
// asked for", which know nothing of each other. The transfer fails, and so does
// each retry.
func naive(retries int) (balance int) {
	balance = opening
	for range 1 + retries {
		balance -= fee // the one takes the fee
		// The other one asks the other bank, which refuses.
	}
	return balance
}

// A bank keeps accounts, and says what has happened by an outbox: a change and
// its event are one batch, and so are the effect of an event and the note that
// it was handled.
//
//	account/NAME        balance
//	outbox/NUMBER       what is to be told, in order
//	inbox/NUMBER        that it was handled
//	transfer            "asked", "paid", "refused" or "compensated"
type bank struct {
	db      *lsm.DB
	refuses bool // the other bank does
	naive   bool // in tests: a change and its event are two batches
}

// Keys of a bank.
const (
	accountKey  = "account/"
	outboxKey   = "outbox/"
	inboxKey    = "inbox/"
	transferKey = "transfer"
)

// number returns what is stored under key, 0 if nothing is.
func (b *bank) number(key string) (int, error) {
	v, err := b.db.Get([]byte(key))
	if errors.Is(err, lsm.ErrNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(string(v))
}

// text returns what is stored under key, "" if nothing is.
func (b *bank) text(key string) (string, error) {
	v, err := b.db.Get([]byte(key))
	if errors.Is(err, lsm.ErrNotFound) {
		err = nil
	}
	return string(v), err
}

// A step changes accounts and the state of the transfer, and says what comes
// next. It is one batch with the note that the event before was handled.
type step struct {
	from  int // number of the event that is handled, 0 if a client asks
	state string
	move  map[string]int // by account
	event string         // "" if that is the end
}

// apply makes a step, unless it was made.
func (b *bank) apply(ctx context.Context, s step) error {
	inbox := fmt.Sprintf("%s%04d", inboxKey, s.from)
	if done, err := b.db.Has([]byte(inbox)); done || err != nil {
		return err
	}
	var batch lsm.Batch
	batch.Set([]byte(inbox), nil)
	batch.Set([]byte(transferKey), []byte(s.state))
	for name, by := range s.move {
		balance, err := b.number(accountKey + name)
		if err != nil {
			return err
		}
		batch.Set([]byte(accountKey+name), []byte(strconv.Itoa(balance+by)))
	}
	if b.naive {
		if err := b.db.Apply(ctx, &batch); err != nil {
			return err
		}
		batch.Reset()
	}
	if s.event != "" {
		batch.Set(fmt.Appendf(nil, "%s%04d", outboxKey, s.from+1), []byte(s.event))
	}
	return b.db.Apply(ctx, &batch)
}

// open opens the accounts, once.
func (b *bank) open(ctx context.Context) error {
	if known, err := b.db.Has([]byte(accountKey + "alice")); known || err != nil {
		return err
	}
	var batch lsm.Batch
	batch.Set([]byte(accountKey+"alice"), []byte(strconv.Itoa(opening)))
	batch.Set([]byte(accountKey+"fees"), []byte("0"))
	batch.Set([]byte(accountKey+"way"), []byte("0")) // money that is on its way
	return b.db.Apply(ctx, &batch)
}

// ask is the client: it asks for the transfer, and asks again if it does not
// know what became of that. The money leaves the account at once, and the fee.
func (b *bank) ask(ctx context.Context) error {
	return b.apply(ctx, step{
		state: "asked", event: "asked",
		move: map[string]int{"alice": -amount - fee, "fees": fee, "way": amount},
	})
}

// relay handles what is in the outbox, as often as it is asked: an event is
// handled again after a crash, and changes nothing then.
func (b *bank) relay(ctx context.Context) error {
	for n := 1; ; n++ {
		what, err := b.text(fmt.Sprintf("%s%04d", outboxKey, n))
		if err != nil {
			return err
		}
		switch what {
		case "":
			return nil

		case "asked":
			// The other bank answers the same however often it is asked.
			next := step{from: n, state: "paid", move: map[string]int{"way": -amount}}
			if b.refuses {
				next = step{from: n, state: "refused", event: "refused"}
			}
			err = b.apply(ctx, next)
		case "refused":
			// What was done is undone, by steps of its own.
			err = b.apply(ctx, step{
				from: n, state: "compensated",
				move: map[string]int{"alice": amount + fee, "fees": -fee, "way": -amount},
			})
		}
		if err != nil {
			return err
		}
	}
}

// work opens the bank on a disk, and does what is left of the transfer.
func work(ctx context.Context, fs lsm.FS, refuses, naive bool) (err error) {
	db, err := lsm.Open("bank", &lsm.Options{FS: fs, LogSize: 4 << 10, Memory: 1 << 20})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	b := &bank{db: db, refuses: refuses, naive: naive}
	for _, do := range []func(context.Context) error{b.open, b.ask, b.relay} {
		if err := do(ctx); err != nil {
			return err
		}
	}
	return nil
}

// balances returns the accounts on a disk, and the state of the transfer.
func balances(fs lsm.FS) (alice, fees, way int, state string, err error) {
	db, err := lsm.Open("bank", &lsm.Options{FS: fs})
	if err != nil {
		return 0, 0, 0, "", err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	b := &bank{db: db}
	for _, a := range []struct {
		name string
		to   *int
	}{{"alice", &alice}, {"fees", &fees}, {"way", &way}} {
		if *a.to, err = b.number(accountKey + a.name); err != nil {
			return 0, 0, 0, "", err
		}
	}
	state, err = b.text(transferKey)
	return alice, fees, way, state, err
}

// cutPower does the transfer on a disk that loses power before operation n, and
// goes on with what was durable. It reports whether there was such an
// operation.
func cutPower(ctx context.Context, n int64, after lsm.CrashConfig, refuses, naive bool) (happened bool, err error) {
	fs := lsm.NewMemFS()
	var cut atomic.Bool
	alive, die := context.WithCancel(ctx)
	defer die()
	fs.Inject(func(op lsm.FSOp) error {
		if op.N < n {
			return nil
		}
		cut.Store(true)
		die() // nobody waits for a disk that may come back
		return errors.New("the power is cut")
	})
	if err := work(alive, fs, refuses, naive); !cut.Load() {
		return false, err
	}

	// Another process begins with what the disk has.
	fs = fs.CrashClone(after)
	if err := work(ctx, fs, refuses, naive); err != nil {
		return true, err
	}
	return true, checkBank(fs, refuses)
}

// checkBank checks the end of a transfer.
func checkBank(fs lsm.FS, refuses bool) error {
	alice, fees, way, state, err := balances(fs)
	if err != nil {
		return err
	}
	wantAlice, wantFees, wantState := opening-amount-fee, fee, "paid"
	if refuses {
		wantAlice, wantFees, wantState = opening, 0, "compensated"
	}
	if alice != wantAlice || fees != wantFees || way != 0 || state != wantState {
		return fmt.Errorf("bank: balance %d, fees %d, on the way %d, %q; want %d, %d, 0 and %q",
			alice, fees, way, state, wantAlice, wantFees, wantState)
	}
	return nil
}

// enumerate cuts the power before each operation of the disk in turn, and
// returns how many there were.
func enumerate(ctx context.Context, refuses, naive bool) (points int64, err error) {
	for n := int64(1); ; n++ {
		for _, after := range []lsm.CrashConfig{{}, {Keep: 0.5, Seed: uint64(n)}, {Keep: 1}} {
			happened, err := cutPower(ctx, n, after, refuses, naive)
			if err != nil {
				return n, fmt.Errorf("power cut before operation %d, %+v: %w", n, after, err)
			}
			if !happened {
				return n - 1, ctx.Err()
			}
		}
	}
}

// leastPoints is less than a transfer has. How many there are depends on which
// goroutine of the database is faster.
const leastPoints = 20

// reportBank makes the transfer in each way.
func reportBank(ctx context.Context, w io.Writer) error {
	fmt.Fprintf(w, "an account of %d, a fee of %d, a transfer of %d that the other bank refuses\n", opening, fee, amount)
	fmt.Fprintf(w, "  two subscribers:             %d are left, the fee is gone\n", naive(0))
	fmt.Fprintf(w, "  ... and one retry:           %d are left, two fees are gone\n", naive(1))
	for _, refuses := range []bool{true, false} {
		fs := lsm.NewMemFS()
		if err := work(ctx, fs, refuses, false); err != nil {
			return err
		}
		alice, _, _, state, err := balances(fs)
		if err == nil {
			err = checkBank(fs, refuses)
		}
		if err != nil {
			return err
		}
		name := "outbox and compensation"
		if !refuses {
			name = "the same, but accepted"
		}
		fmt.Fprintf(w, "  %-28s%4d are left, the transfer is %s\n", name+":", alice, state)

		// However often the power is cut.
		points, err := enumerate(ctx, refuses, false)
		if err != nil {
			return err
		}
		if points < leastPoints {
			return fmt.Errorf("bank: %d operations of the disk, want more", points)
		}
	}
	_, err := fmt.Fprintf(w, "law holds: so it ends if the power is cut before any operation of the disk,\n           of more than %d, whatever of three states it leaves\n\n", leastPoints)
	return err
}
