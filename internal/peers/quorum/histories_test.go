// SPDX-License-Identifier: MIT

package quorum

import (
	"context"
	"errors"
	"flag"
	"math"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/ashlar-go/ashlar/quorum"
)

// The histories of the quorum package are short, since the checker there tries
// all orders. Here they are long, and porcupine checks them, which is written
// by others.
var histories = flag.Int("histories", 12, "long histories that porcupine checks, of each kind")

const (
	longClients = 5
	longOps     = 200 // of each client
	longKeys    = 3
)

// A network takes requests to replicas: late, twice, or not at all. Now and
// then some of the clients lose some of the replicas, and a replica is away.
type network struct {
	seed  uint64
	start time.Time

	mu     sync.Mutex // protects the fields below
	random *rand.Rand
	ops    []porcupine.Operation
}

func newNetwork(seed uint64) *network {
	return &network{seed: seed, random: rand.New(rand.NewPCG(seed, 0))}
}

// intN returns a random number below n.
func (n *network) intN(max int64) int64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.random.Int64N(max)
}

// cut reports whether the client does not reach the replica now.
func (n *network) cut(client, replica int) bool {
	now := time.Since(n.start)
	second := uint64(now / time.Second)
	away := rand.New(rand.NewPCG(n.seed, second<<8|uint64(replica))).IntN(12) == 0
	split := now%time.Second < 300*time.Millisecond &&
		rand.New(rand.NewPCG(n.seed+1, second<<16|uint64(client%2)<<8|uint64(replica))).IntN(3) == 0
	return away || split
}

// deliver takes a request to a replica, where apply runs, and the answer back.
// What is lost ends with the context. It runs in a bubble.
func (n *network) deliver(ctx context.Context, client, replica int, again bool, apply func()) error {
	if !n.travel(ctx, client, replica) {
		<-ctx.Done()
		return ctx.Err()
	}
	apply()
	if again && n.intN(20) == 0 {
		late := time.Duration(n.intN(int64(50 * time.Millisecond)))
		time.AfterFunc(late, apply)
	}
	if !n.travel(ctx, client, replica) {
		<-ctx.Done()
		return ctx.Err()
	}
	return nil
}

// travel takes some time, mostly short. It reports whether the message arrives.
func (n *network) travel(ctx context.Context, client, replica int) bool {
	d := time.Duration(n.intN(int64(2 * time.Millisecond)))
	if n.intN(20) == 0 {
		d *= 20
	}
	lost := n.intN(100) == 0 || n.cut(client, replica)
	select {
	case <-time.After(d):
		return !lost
	case <-ctx.Done():
		return false
	}
}

// A far replica is one as a client reaches it.
type far struct {
	replica
	n              *network
	client, number int
}

func (f *far) Load(ctx context.Context, key string) (s state, err error) {
	err = f.n.deliver(ctx, f.client, f.number, false, func() { s, _ = f.replica.Load(ctx, key) })
	return s, err
}

func (f *far) Merge(ctx context.Context, key string, s state) error {
	return f.n.deliver(ctx, f.client, f.number, true, func() { _ = f.replica.Merge(ctx, key, s) })
}

// A farAcceptor is an acceptor as a client reaches it.
type farAcceptor struct {
	acceptor
	n              *network
	client, number int
}

type acceptor = quorum.Acceptor[string, int]

func (f *farAcceptor) Prepare(ctx context.Context, key string, b quorum.Ballot) (s quorum.Slot[int], err error) {
	err = f.n.deliver(ctx, f.client, f.number, false, func() { s, _ = f.acceptor.Prepare(ctx, key, b) })
	return s, err
}

func (f *farAcceptor) Accept(ctx context.Context, key string, p quorum.Slot[int]) (b quorum.Ballot, err error) {
	var first sync.Once // a request that arrives again is not answered
	err = f.n.deliver(ctx, f.client, f.number, true, func() {
		got, _ := f.acceptor.Accept(ctx, key, p)
		first.Do(func() { b = got })
	})
	return b, err
}

// A call is an operation of a client: it writes value, or reads.
type call struct {
	key   string
	write bool
	value int
}

// An outcome is what a call has returned, and the value that an update began
// with.
type outcome struct {
	old, value int
	version    uint64
	unsure     bool
	taken      map[uint64]bool // versions that an unsure update has not made
}

// play runs the clients in a bubble. do makes one call, and returns false if it
// surely had no effect.
func (n *network) play(t *testing.T, open func(client int) func(ctx context.Context, in call) (outcome, bool)) []porcupine.Operation {
	t.Helper()
	synctest.Test(t, func(*testing.T) {
		n.start = time.Now()
		var wg sync.WaitGroup
		for client := range longClients {
			do := open(client)
			wg.Go(func() { // ends with its calls
				for i := range longOps {
					time.Sleep(time.Duration(n.intN(int64(10 * time.Millisecond))))
					in := call{
						key:   "abc"[n.intN(longKeys):][:1],
						write: n.intN(2) == 0,
						value: 1 + client*longOps + i,
					}
					n.record(client, in, do)
				}
			})
		}
		wg.Wait()
		time.Sleep(time.Hour)
	})
	return n.ops
}

// record makes one call, and notes it.
func (n *network) record(client int, in call, do func(ctx context.Context, in call) (outcome, bool)) {
	ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	op := porcupine.Operation{ClientId: client, Input: in, Call: int64(time.Since(n.start))}
	out, ok := do(ctx, in)
	op.Output = out
	op.Return = int64(time.Since(n.start))
	n.mu.Lock()
	defer n.mu.Unlock()
	if out.unsure {
		// It may come to pass at any time, or never, which is after all others.
		op.ClientId = longClients + len(n.ops)
		op.Return = math.MaxInt64
	}
	if ok {
		n.ops = append(n.ops, op)
	}
}

// byKey splits a history, whose keys have nothing to do with each other.
func byKey(history []porcupine.Operation) (parts [][]porcupine.Operation) {
	keys := map[string][]porcupine.Operation{}
	for _, op := range history {
		key := op.Input.(call).key
		keys[key] = append(keys[key], op)
	}
	for _, part := range keys {
		parts = append(parts, part)
	}
	return parts
}

// registerModel is a register that starts as 0.
var registerModel = porcupine.Model{
	Partition: byKey,
	Init:      func() any { return 0 },
	Step: func(state, input, output any) (bool, any) {
		in, out := input.(call), output.(outcome)
		if in.write {
			return true, in.value
		}
		return state == out.value, state
	},
}

// A versioned value is the state of a key of a CAS.
type versioned struct {
	value   int
	version uint64
}

// casModel is a value that is updated, and counts its updates.
var casModel = porcupine.Model{
	Partition: byKey,
	Init:      func() any { return versioned{} },
	Step: func(state, input, output any) (bool, any) {
		now, in, out := state.(versioned), input.(call), output.(outcome)
		if !in.write {
			return now == versioned{out.value, out.version}, now
		}
		next := versioned{in.value, now.version + 1}
		if out.unsure {
			return next.version == out.version || out.version == 0 && !out.taken[next.version], next
		}
		return out.old == now.value && next == versioned{out.value, out.version}, next
	},
}

// settle gives an update of which nobody knows whether it was made the version
// at which somebody has seen its value: all write different ones. If nobody
// has, it cannot have made a version that others have. Without that, porcupine
// would try each of them everywhere.
func settle(history []porcupine.Operation) {
	versions := map[int]uint64{}
	taken := map[string]map[uint64]bool{}
	for _, op := range history {
		in, out := op.Input.(call), op.Output.(outcome)
		if taken[in.key] == nil {
			taken[in.key] = map[uint64]bool{}
		}
		if out.unsure {
			continue
		}
		versions[out.value] = out.version
		taken[in.key][out.version] = true
		if in.write {
			versions[out.old] = out.version - 1
			taken[in.key][out.version-1] = true
		}
	}

	for i := range history {
		op := &history[i]
		if out := op.Output.(outcome); out.unsure {
			in := op.Input.(call)
			out.version = versions[in.value]
			out.taken = taken[in.key]
			op.Output = out
		}
	}
}

// check checks a history, and keeps a picture of one that is wrong.
func check(t *testing.T, model porcupine.Model, history []porcupine.Operation) bool {
	t.Helper()
	result, info := porcupine.CheckOperationsVerbose(model, history, time.Minute)
	switch result {
	case porcupine.Ok:
		return true
	case porcupine.Unknown:
		t.Errorf("porcupine did not come to an end with %d operations", len(history))
		return true
	}
	path := filepath.Join(t.ArtifactDir(), "history.html")
	if err := porcupine.VisualizePath(model, info, path); err != nil {
		t.Error(err)
	}
	t.Logf("not linearizable: %s", path)
	return false
}

// playKV plays a history of a KV.
func playKV(t *testing.T, seed uint64, reads ...quorum.Call) []porcupine.Operation {
	t.Helper()
	n := newNetwork(seed)
	opts := []quorum.Options{{}, {Write: quorum.Three, Read: quorum.Two}, {Write: quorum.Two, Read: quorum.Three}, {}}[seed%4]
	size := []int{3, 4, 4, 5}[seed%4]
	opts.Timeout = 50 * time.Millisecond
	opts.Repair = quorum.RepairMode(seed % 3)
	var nodes []replica
	for range size {
		nodes = append(nodes, quorum.NewMemory[string, state]())
	}

	return n.play(t, func(client int) func(context.Context, call) (outcome, bool) {
		list := make([]replica, size)
		for i := range list {
			list[i] = &far{nodes[i], n, client, i}
		}
		skew := time.Duration(n.intN(int64(2*time.Second))) - time.Second
		db, err := quorum.NewKV(list, quorum.NewClock(uint32(client), &quorum.ClockOptions{
			MaxOffset: -1,
			Now:       func() time.Time { return time.Now().Add(skew) },
		}), &opts)
		if err != nil {
			t.Fatal(err)
		}
		return func(ctx context.Context, in call) (out outcome, ok bool) {
			if in.write {
				_, err := db.Put(ctx, in.key, in.value, quorum.Atomic())
				out.unsure = errors.Is(err, quorum.ErrIndeterminate)
				return out, err == nil || out.unsure
			}
			out.value, _, err = db.Get(ctx, in.key, reads...)
			return out, err == nil || errors.Is(err, quorum.ErrNotFound)
		}
	})
}

// playCAS plays a history of a CAS on acceptors that node makes.
func playCAS(t *testing.T, seed uint64, node func() acceptor) []porcupine.Operation {
	t.Helper()
	n := newNetwork(seed)
	size := 3 + 2*int(seed%2)
	var nodes []acceptor
	for range size {
		nodes = append(nodes, node())
	}

	return n.play(t, func(client int) func(context.Context, call) (outcome, bool) {
		list := make([]acceptor, size)
		for i := range list {
			list[i] = &farAcceptor{nodes[i], n, client, i}
		}
		cas, err := quorum.NewCAS(list, &quorum.CASOptions{Timeout: 50 * time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		return func(ctx context.Context, in call) (out outcome, ok bool) {
			if !in.write {
				out.value, out.version, err = cas.Get(ctx, in.key)
				return out, err == nil
			}
			out.value, out.version, err = cas.Update(ctx, in.key, func(old int, _ uint64) (int, error) {
				out.old = old
				return in.value, nil
			})
			out.unsure = errors.Is(err, quorum.ErrIndeterminate)
			return out, err == nil || out.unsure
		}
	})
}

// long returns the seeds of long histories.
func long(t *testing.T) int {
	t.Helper()
	if testing.Short() {
		t.Skip("long histories")
	}
	return *histories
}

// enough checks that histories say something: most calls have ended well.
func enough(t *testing.T, n, ops, unsure int) {
	t.Helper()
	t.Logf("%d operations of which %d unsure in %d histories", ops, unsure, n)
	if ops < n*longClients*longOps/2 || unsure == 0 || unsure > ops/10 {
		t.Errorf("%d operations of which %d unsure in %d histories say little", ops, unsure, n)
	}
}

// count returns how many operations of a history are unsure.
func count(history []porcupine.Operation) (unsure int) {
	for _, op := range history {
		if op.Output.(outcome).unsure {
			unsure++
		}
	}
	return unsure
}

// TestPorcupineAtomic checks long histories of atomic reads and writes of
// several keys, with R = W, R < W and R > W.
func TestPorcupineAtomic(t *testing.T) {
	n, ops, unsure := long(t), 0, 0
	for seed := range n {
		history := playKV(t, uint64(seed), quorum.Atomic())
		if !check(t, registerModel, history) {
			t.Fatalf("seed %d", seed)
		}
		ops += len(history)
		unsure += count(history)
	}
	enough(t, n, ops, unsure)
}

// TestPorcupineCAS checks long histories of a CAS of several keys.
func TestPorcupineCAS(t *testing.T) {
	n, ops, unsure := long(t), 0, 0
	for seed := range n {
		history := playCAS(t, uint64(seed), func() acceptor { return new(quorum.MemoryAcceptor[string, int]) })
		settle(history)
		if !check(t, casModel, history) {
			t.Fatalf("seed %d", seed)
		}
		ops += len(history)
		unsure += count(history)
	}
	enough(t, n, ops, unsure)
}

// A forgetful acceptor loses its disk now and then, and answers nevertheless.
type forgetful struct {
	mu  sync.Mutex // protects the fields below
	now *quorum.MemoryAcceptor[string, int]
	n   int // requests
}

// get returns the acceptor, or an empty one.
func (f *forgetful) get() *quorum.MemoryAcceptor[string, int] {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.n%100 == 0 {
		f.now = new(quorum.MemoryAcceptor[string, int])
	}
	f.n++
	return f.now
}

func (f *forgetful) Prepare(ctx context.Context, key string, b quorum.Ballot) (quorum.Slot[int], error) {
	return f.get().Prepare(ctx, key, b)
}

func (f *forgetful) Accept(ctx context.Context, key string, p quorum.Slot[int]) (quorum.Ballot, error) {
	return f.get().Accept(ctx, key, p)
}

// TestPorcupineFinds checks that the histories bite: reads that do not write
// back are found, and acceptors that forget.
func TestPorcupineFinds(t *testing.T) {
	long(t)
	for name, wrong := range map[string]func(seed uint64) bool{
		"reads do not write back": func(seed uint64) bool { return !check(t, registerModel, playKV(t, seed)) },
		"acceptors forget": func(seed uint64) bool {
			history := playCAS(t, seed, func() acceptor { return new(forgetful) })
			settle(history)
			return !check(t, casModel, history)
		},
	} {
		found := false
		for seed := range uint64(500) {
			found = wrong(seed)
			if found {
				t.Logf("%s: found in history %d", name, seed)
				break
			}
		}
		if !found {
			t.Errorf("%s: all histories are linearizable", name)
		}
	}
}
