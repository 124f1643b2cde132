// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/ashlar-go/ashlar/quorum"
)

// regions are where the nodes of this part stand: two in each. latency says the
// same of their numbers.
var regions = []string{"eu", "us", "asia", "eu", "us", "asia"}

// reportRegions reads and writes from eu at several levels, with all regions
// and without one.
func reportRegions(ctx context.Context, _ *config, w io.Writer) error {
	fmt.Fprintf(w, "two copies in each of three regions; a client in %s\n", regions[0])
	fmt.Fprintf(w, "%-26s%14s%14s%14s\n", "", "all are there", "without us", "without eu")
	for _, row := range []struct {
		name  string
		level quorum.Level
		need  int
		write bool
	}{
		{"read of the nearest", quorum.One, 1, false},
		{"read by LocalQuorum", quorum.LocalQuorum, 2, false},
		{"read by Quorum", quorum.Quorum, 4, false},
		{"write by LocalQuorum", quorum.LocalQuorum, 2, true},
		{"write by Quorum", quorum.Quorum, 4, true},
		{"write by EachQuorum", quorum.EachQuorum, 6, true},
	} {
		fmt.Fprintf(w, "%-26s", row.name)
		for _, gone := range []string{"", "us", "eu"} {

			// The same call in another world.
			took, err := regional(ctx, row.level, row.need, row.write, gone)
			cell := "refused"
			if err == nil {
				cell = took.String()
			}
			fmt.Fprintf(w, "%14s", cell)
		}
		fmt.Fprintln(w)
	}
	_, err := fmt.Fprintln(w)
	return err
}

// regional makes one call at a level while a region is gone. The client is on a
// machine of its own in eu.
func regional(ctx context.Context, level quorum.Level, need int, write bool, gone string) (time.Duration, error) {
	net := newNetwork(len(regions) + 3)
	client := len(regions) // stands in eu, and is no replica
	memory := make([]quorum.Memory[string, cell], len(regions))
	var list []quorum.Replica[string, cell]
	for to, region := range regions {
		net.set(net.down, to, region == gone)
		l := link[cell]{net, client, to, func() quorum.Replica[string, cell] { return &memory[to] }}
		list = append(list, counted[cell]{net, client, to, l})
	}
	now := time.Unix(1e9, 0)
	kv, err := quorum.NewKV(list, handClock(client, &now), &quorum.Options{
		Zones: regions, Zone: regions[0], AllowStale: true, Repair: quorum.RepairOff, Hedge: -1,
	})
	if err != nil {
		return 0, err
	}
	ctx = net.operation(ctx)
	if write {
		_, err = kv.Put(ctx, "k", 1, quorum.At(level))
	} else if _, _, err = kv.Get(ctx, "k", quorum.At(level)); err == quorum.ErrNotFound { //nolint:errorlint // nothing was written
		err = nil
	}
	net.settle(len(regions))
	return net.waited(need), err
}
