// SPDX-License-Identifier: MIT

package merkle

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"sync"

	"github.com/nbd-wtf/go-nostr"
	"github.com/nbd-wtf/go-nostr/nip77/negentropy"
	"github.com/nbd-wtf/go-nostr/nip77/negentropy/storage/vector"

	"github.com/ashlar-go/ashlar/merkle"
)

const negentropyName = "go-nostr negentropy"

// An item is a record of a replica: 16 bytes of key and 16 of digest, and in
// Nostr's words an event whose identifier has 32 bytes.
type item [32]byte

func newItem(i int) item {
	return sha256.Sum256(binary.LittleEndian.AppendUint64(nil, uint64(i)))
}

// A wire counts what two replicas send to each other.
type wire struct{ bytes, rounds, differences int }

// oursDiff reconciles a replica of n items with one that has d others instead
// of as many of them.
func oursDiff(n, d int) wire {
	local, remote := replicas(n, d)
	var w wire
	peer := exchange(func(_ context.Context, msg []byte) ([]byte, error) {
		answer, err := remote.Respond(msg)
		w.bytes += len(msg) + len(answer)
		w.rounds++
		return answer, err
	})
	for _, err := range local.Diff(context.Background(), peer) {
		if err != nil {
			panic(err)
		}
		w.differences++
	}
	return w
}

type exchange func(ctx context.Context, msg []byte) ([]byte, error)

func (f exchange) Exchange(ctx context.Context, msg []byte) ([]byte, error) { return f(ctx, msg) }

// replicas returns two indexes of n items of which d are not in the other.
func replicas(n, d int) (local, remote *merkle.Index) {
	secret := make([]byte, 16)
	local, remote = merkle.NewIndex(secret, nil), merkle.NewIndex(secret, nil)
	for i := range n + d {
		x := newItem(i)
		if i < n {
			local.Set(string(x[:16]), merkle.Digest(x[16:]))
		}
		if i >= d {
			remote.Set(string(x[:16]), merkle.Digest(x[16:]))
		}
	}
	return local, remote
}

// negentropyDiff does the same by NIP-77. Its messages are in hexadecimal
// digits; they count as the bytes that these stand for. All events have one
// time, so that it is no help and no cost.
func negentropyDiff(n, d int) wire {
	a, b := vector.New(), vector.New()
	for i := range n + d {
		x := newItem(i)
		id := hex.EncodeToString(x[:])
		if i < n {
			a.Insert(nostr.Timestamp(1), id)
		}
		if i >= d {
			b.Insert(nostr.Timestamp(1), id)
		}
	}
	a.Seal()
	b.Seal()

	var w wire
	var found sync.WaitGroup
	client, server := negentropy.New(a, 0), negentropy.New(b, 0)
	counts := make([]int, 2)
	for i, c := range []chan string{client.Haves, client.HaveNots} {
		found.Go(func() { // ends when the client closes the channel
			for range c {
				counts[i]++
			}
		})
	}
	for msg := client.Start(); msg != ""; w.rounds++ {
		answer := must(server.Reconcile(msg))
		w.bytes += (len(msg) + len(answer)) / 2
		msg = must(client.Reconcile(answer))
	}
	found.Wait()
	w.differences = counts[0] + counts[1]
	return w
}

// perDifference measures a figure of a reconciliation that has to find 2d
// differences.
func perDifference(diff func(n, d int) wire, n, d int, figure func(w wire) float64) func() (float64, int) {
	return func() (float64, int) {
		w := diff(n, d)
		if w.differences != 2*d {
			panic(fmt.Sprintf("got %d differences, want %d", w.differences, 2*d))
		}
		return figure(w), 1
	}
}
