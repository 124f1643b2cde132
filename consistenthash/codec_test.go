// SPDX-License-Identifier: MIT

package consistenthash

import (
	"bytes"
	"encoding/binary"
	"encoding/gob"
	"encoding/json"
	"errors"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/cespare/xxhash/v2"
)

// TestCodec checks that both forms lead back to the snapshot, and that no byte
// of the binary one can change or be missing.
func TestCodec(t *testing.T) {
	want := mustSnapshot(t, &Options{Seed: 7, VirtualNodes: 9},
		Node{Name: "a", Zone: "z"}, Node{Name: "b", Weight: 2}, Node{Name: "c", Weight: NoShare})
	for _, s := range []*Snapshot{want, {}} {
		data, back := checkForms(t, s)
		for i := range data {
			bad := slices.Clone(data)
			bad[i] ^= 1
			if err := back.UnmarshalBinary(bad); !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrVersion) {
				t.Fatalf("byte %d changed: %v, want an error", i, err)
			}
			if err := back.UnmarshalBinary(data[:i]); !errors.Is(err, ErrCorrupt) {
				t.Fatalf("%d bytes: %v, want %v", i, err, ErrCorrupt)
			}
		}
		checkSame(t, back, s) // errors changed nothing
	}
}

// TestLongestName checks that a name and a zone of 65,535 bytes, the most, are
// taken, and read back from both forms.
func TestLongestName(t *testing.T) {
	long := strings.Repeat("x", 1<<16-1)
	checkForms(t, mustSnapshot(t, nil, Node{Name: long, Zone: "a"}, Node{Name: "b", Zone: long}))
}

// checkForms checks that both forms of s lead back to it, and returns the
// binary one and what was read from it.
func checkForms(t *testing.T, s *Snapshot) (data []byte, back *Snapshot) {
	t.Helper()
	data, err := s.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	back = new(Snapshot)
	if err := back.UnmarshalBinary(data); err != nil {
		t.Fatal(err)
	}
	checkSame(t, back, s)

	text, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	var fromJSON Snapshot
	if err := json.Unmarshal(text, &fromJSON); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	checkSame(t, &fromJSON, s)
	return data, back
}

// checkSame checks that got has the members and the placement of want.
func checkSame(t *testing.T, got, want *Snapshot) {
	t.Helper()
	if g, w := got.Fingerprint(), want.Fingerprint(); g != w {
		t.Errorf("fingerprint = %x, want %x", g, w)
	}
	if !slices.Equal(got.Nodes(), want.Nodes()) {
		t.Errorf("nodes = %v, want %v", got.Nodes(), want.Nodes())
	}
}

// TestCodecRefuses checks the snapshots that cannot be stored, and texts that
// are none.
func TestCodecRefuses(t *testing.T) {
	if _, err := mustSnapshot(t, &Options{Hash: coarse}).MarshalBinary(); err == nil {
		t.Error("a snapshot with a Hash is marshaled, want an error")
	}
	for text, want := range map[string]error{
		`{`:                               ErrCorrupt,
		`{}`:                              ErrCorrupt,
		`{"algorithm":"ring","seed":"0"}`: ErrCorrupt,
		`{"algorithm":"ashlar-ring/2"}`:   ErrVersion,
		`{"algorithm":"ashlar-ring/1","virtualNodes":-1}`:                              ErrCorrupt,
		`{"algorithm":"ashlar-ring/1","virtualNodes":0}`:                               ErrCorrupt,
		`{"algorithm":"ashlar-ring/1","fingerprint":"x"}`:                              ErrCorrupt,
		`{"algorithm":"ashlar-ring/1","fingerprint":"1"}`:                              ErrCorrupt,
		`{"algorithm":"ashlar-ring/1","nodes":[{"name":""}]}`:                          ErrCorrupt,
		`{"algorithm":"ashlar-ring/1","nodes":[{"name":"a","weight":-1}]}`:             ErrCorrupt,
		`{"algorithm":"ashlar-ring/1","nodes":[{"name":"a","weight":7000}]}`:           ErrTooLarge,
		`{"algorithm":"ashlar-ring/1","nodes":[{"name":"a"},{"name":"a","weight":2}]}`: ErrCorrupt,
	} {
		if err := new(Snapshot).UnmarshalJSON([]byte(text)); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", text, err, want)
		}
	}
}

// TestTrapJSONWithoutError checks that a snapshot by value, in a struct or in a
// map, is stored, and does not become {} without an error.
func TestTrapJSONWithoutError(t *testing.T) {
	s := mustSnapshot(t, nil, Node{Name: "a"})
	type config struct {
		Ring  Snapshot
		ByKey map[string]Snapshot
	}
	text, err := json.Marshal(config{*s, map[string]Snapshot{"k": *s}})
	if err != nil {
		t.Fatal(err)
	}
	var back config
	if err := json.Unmarshal(text, &back); err != nil {
		t.Fatal(err)
	}
	checkSame(t, &back.Ring, s)
	inMap := back.ByKey["k"]
	checkSame(t, &inMap, s)

	var b bytes.Buffer
	if err := gob.NewEncoder(&b).Encode(struct{ Ring Snapshot }{*s}); err != nil {
		t.Fatal(err)
	}
	var fromGob struct{ Ring Snapshot }
	if err := gob.NewDecoder(&b).Decode(&fromGob); err != nil {
		t.Fatal(err)
	}
	checkSame(t, &fromGob.Ring, s)

	ring := New(nil)
	ring.SetSnapshot(s)
	text, err = json.Marshal(struct{ Ring *Ring }{ring})
	if err != nil {
		t.Fatal(err)
	}
	var withRing struct{ Ring Ring }
	if err := json.Unmarshal(text, &withRing); err != nil {
		t.Fatal(err)
	}
	checkSame(t, withRing.Ring.Snapshot(), s)
	if err := json.Unmarshal([]byte(`{"Ring":null}`), &withRing); err != nil {
		t.Fatal(err)
	}
	checkSame(t, withRing.Ring.Snapshot(), s)
}

// TestTrapNullSnapshot checks that null leaves a snapshot as it was.
func TestTrapNullSnapshot(t *testing.T) {
	s := mustSnapshot(t, nil, Node{Name: "a"})
	if err := json.Unmarshal([]byte("null"), s); err != nil || s.Len() != 1 {
		t.Errorf("null: %v, %d members, want nil and 1", err, s.Len())
	}
}

// TestNodeJSON checks the weights of a file: a missing one is 1, and 0 is no
// share.
func TestNodeJSON(t *testing.T) {
	for text, want := range map[string]Node{
		`{"name":"a"}`:                         {Name: "a"},
		`{"name":"a","weight":0}`:              {Name: "a", Weight: NoShare},
		`{"name":"a","weight":2.5,"zone":"z"}`: {Name: "a", Weight: 2.5, Zone: "z"},
	} {
		var got Node
		if err := json.Unmarshal([]byte(text), &got); err != nil || got != want {
			t.Errorf("%s = %+v, %v, want %+v", text, got, err, want)
		}
		back, err := json.Marshal(got)
		if err != nil || string(back) != text {
			t.Errorf("%+v marshals to %s, %v, want %s", got, back, err, text)
		}
	}
	var n Node
	if err := json.Unmarshal([]byte(`{"name":"a","weight":-1}`), &n); err != nil || !n.badWeight() {
		t.Errorf("a weight of -1 in a file is %v, %v, want a bad one", n.Weight, err)
	}
	if err := json.Unmarshal([]byte(`{"name":1}`), &n); err == nil {
		t.Error("a number as the name: got no error, want one")
	}
}

// TestLaterVersions checks that bytes of a later version are ErrVersion, and
// not taken for damage.
func TestLaterVersions(t *testing.T) {
	data, err := mustSnapshot(t, nil, Node{Name: "a"}).MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	for i := 8; i < 16; i++ { // the version and the reserved bytes
		later := slices.Clone(data)
		later[i] += 2
		if err := new(Snapshot).UnmarshalBinary(withChecksum(later)); !errors.Is(err, ErrVersion) {
			t.Errorf("byte %d: %v, want %v", i, err, ErrVersion)
		}
	}
}

// withChecksum returns data with its checksum put right.
func withChecksum(data []byte) []byte {
	body := data[:len(data)-8]
	return binary.LittleEndian.AppendUint64(body[:len(body):len(body)], xxhash.Sum64(body))
}

// TestTrapCostOfBytes checks that a few bytes cannot ask for the memory of a
// machine: the members are checked before they are placed, and the points are
// bounded by the options of the receiver.
func TestTrapCostOfBytes(t *testing.T) {
	heavy := mustSnapshot(t, &Options{MaxPoints: 1 << 21}, Node{Name: "a", Weight: 10000})
	data, err := heavy.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	var small Snapshot
	allocated := allocatedBy(func() { err = small.UnmarshalBinary(data) })
	if !errors.Is(err, ErrTooLarge) || allocated > 1<<16 {
		t.Errorf("1.5 million points: %v after %d bytes, want %v after few", err, allocated, ErrTooLarge)
	}
	large := mustSnapshot(t, &Options{MaxPoints: 1 << 21})
	if err := large.UnmarshalBinary(data); err != nil {
		t.Errorf("with MaxPoints of 2^21: %v, want no error", err)
	}

	// A wrong fingerprint is found before points are made.
	fits := mustSnapshot(t, nil, Node{Name: "a", Weight: 6000})
	if data, err = fits.MarshalBinary(); err != nil {
		t.Fatal(err)
	}
	data[len(data)-16] ^= 1
	allocated = allocatedBy(func() { err = small.UnmarshalBinary(withChecksum(data)) })
	if !errors.Is(err, ErrCorrupt) || allocated > 1<<16 {
		t.Errorf("a wrong fingerprint: %v after %d bytes, want %v after few", err, allocated, ErrCorrupt)
	}

	if invariants || raceEnabled {
		return // checks allocate, and the rest takes their time
	}

	// Bytes that are accepted take 60 bytes a point on the way, as documented.
	data[len(data)-16] ^= 1
	allocated = allocatedBy(func() { err = small.UnmarshalBinary(withChecksum(data)) })
	if err != nil || allocated > 62*900_000 {
		t.Errorf("900,000 points: %v after %d bytes, want at most 62 each", err, allocated)
	}
}

// TestTrapForgedCount checks that memory for nodes is taken only for as many as
// the bytes can hold.
func TestTrapForgedCount(t *testing.T) {
	data, err := mustSnapshot(t, nil, Node{Name: strings.Repeat("a", 60_000)}).MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	binary.LittleEndian.PutUint32(data[headSize-4:], 100_000)
	allocated := allocatedBy(func() { err = new(Snapshot).UnmarshalBinary(withChecksum(data)) })
	if !errors.Is(err, ErrCorrupt) || allocated > 1<<18 {
		t.Errorf("100,000 nodes in 60 KB: %v after %d bytes, want %v after 256 KB", err, allocated, ErrCorrupt)
	}
}

// TestTrapForgedName checks that a name which ends behind the data is not read
// as zeros, of which the rest would then be the zone and the fingerprint.
func TestTrapForgedName(t *testing.T) {
	zeros := mustSnapshot(t, nil, Node{Name: "\x00\x00\x00\x00\x00\x00\x00\x00"})
	data, err := zeros.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	at := headSize + 8
	forged := append(slices.Clone(data[:at]), 100, 0) // a name of 100 bytes, and none of them
	forged = append(forged, data[at+2+8:]...)
	if err := new(Snapshot).UnmarshalBinary(withChecksum(forged)); !errors.Is(err, ErrCorrupt) {
		t.Errorf("a name of 100 bytes that are not there: %v, want %v", err, ErrCorrupt)
	}
}

// TestTrapForgedCounts checks numbers that a stranger wrote, with a right
// checksum: of nodes that are not there, and of bytes of a name that end behind
// the data.
func TestTrapForgedCounts(t *testing.T) {
	data, err := mustSnapshot(t, nil, Node{Name: "a"}).MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(b []byte){
		"2^32-1 nodes":        func(b []byte) { binary.LittleEndian.PutUint32(b[headSize-4:], 1<<32-1) },
		"two nodes":           func(b []byte) { binary.LittleEndian.PutUint32(b[headSize-4:], 2) },
		"no nodes":            func(b []byte) { binary.LittleEndian.PutUint32(b[headSize-4:], 0) },
		"a name of 65535":     func(b []byte) { binary.LittleEndian.PutUint16(b[headSize+8:], 1<<16-1) },
		"no virtual nodes":    func(b []byte) { binary.LittleEndian.PutUint32(b[headSize-8:], 0) },
		"2^32-1 virtual ones": func(b []byte) { binary.LittleEndian.PutUint32(b[headSize-8:], 1<<32-1) },
	} {
		forged := slices.Clone(data)
		change(forged)
		var err error
		allocated := allocatedBy(func() { err = new(Snapshot).UnmarshalBinary(withChecksum(forged)) })
		if !errors.Is(err, ErrCorrupt) || allocated > 1<<16 {
			t.Errorf("%s: %v after %d bytes, want %v after few", name, err, allocated, ErrCorrupt)
		}
	}
}

// allocatedBy returns the bytes that f allocates.
func allocatedBy(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}
