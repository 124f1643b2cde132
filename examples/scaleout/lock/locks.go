// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ashlar-go/ashlar/quorum"
)

// A lock opens by itself if its holder dies. [quorum.Lease] is one.
type lock interface {
	// TryAcquire reports whether the lock is held now, and its token.
	TryAcquire(ctx context.Context) (token uint64, ok bool, err error)

	// Held returns the token if the lock is held now, by the own clock.
	Held() (token uint64, ok bool)

	// Renew makes the lock last longer.
	Renew(ctx context.Context) error

	// Release gives the lock back.
	Release(ctx context.Context) error
}

// Of locks.
const (
	lockKey = "leader"
	ttl     = time.Second
	timeout = 300 * time.Millisecond // of a request
)

// openLock returns the lock of that kind, kept by servers at addrs.
func openLock(ctx context.Context, kind string, addrs []string) (l lock, closeAll func(), err error) {
	switch kind {
	case "etcd":
		l, err := newEtcdLock(addrs[0], lockKey, ttl, timeout)
		if err != nil {
			return nil, nil, err
		}
		return l, l.close, nil
	case "single":
		l := newSingleLock(addrs[0], lockKey, ttl, timeout)
		return l, l.close, nil
	}

	// A replica for each server.
	var acceptors []quorum.Acceptor[string, quorum.Grant]
	var closers []func()
	closeAll = func() {
		for _, c := range closers {
			c()
		}
	}
	for _, addr := range addrs {
		switch kind {
		case "redis":
			a := newRedisAcceptor[quorum.Grant](addr, timeout)
			acceptors, closers = append(acceptors, a), append(closers, a.close)
		case "postgres":
			a, err := newPostgresAcceptor[quorum.Grant](ctx, postgresURL(addr), timeout)
			if err != nil {
				closeAll()
				return nil, nil, err
			}
			acceptors, closers = append(acceptors, a), append(closers, a.close)
		default:
			return nil, nil, fmt.Errorf("no lock %q", kind)
		}
	}
	cas, err := quorum.NewCAS(acceptors, &quorum.CASOptions{Timeout: timeout})
	if err == nil {
		l, err = quorum.NewLease(cas, lockKey, &quorum.LeaseOptions{TTL: ttl})
	}
	if err != nil {
		closeAll()
		return nil, nil, err
	}
	return l, closeAll, nil
}

func postgresURL(addr string) string {
	return "postgres://postgres@" + addr + "/postgres?sslmode=disable"
}

// makeTables makes what the servers need before the processes start.
func makeTables(ctx context.Context, kind string, addrs []string) (err error) {
	if kind != "postgres" {
		return nil
	}
	for _, addr := range addrs {
		a, e := newPostgresAcceptor[quorum.Grant](ctx, postgresURL(addr), time.Second)
		if e == nil {
			e = a.makeSlots(ctx)
			a.close()
		}
		err = errors.Join(err, e)
	}
	return err
}
