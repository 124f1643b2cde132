// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// A singleLock is the usual lock in one Redis: SET key mine NX PX ttl. It is
// here to show what that lacks: it is forgotten with the data of the server,
// and it has no token that a later holder has a greater one of.
type singleLock struct {
	client *redis.Client
	key    string
	mine   string
	ttl    time.Duration

	mu    sync.Mutex // protects until
	until time.Time  // zero if it is not held
}

func newSingleLock(addr, key string, ttl, timeout time.Duration) *singleLock {
	redis.SetLogger(quiet{})
	return &singleLock{
		client: redis.NewClient(&redis.Options{
			Addr: addr, MaxRetries: -1, DialerRetries: 1, DialTimeout: timeout, ReadTimeout: timeout, WriteTimeout: timeout,
		}),
		key: key, mine: fmt.Sprintf("%x", rand.Uint64()), ttl: ttl,
	}
}

// noToken is that of all holders.
const noToken = 1

func (l *singleLock) TryAcquire(ctx context.Context) (token uint64, ok bool, err error) {
	from := time.Now()
	err = l.client.SetArgs(ctx, l.key, l.mine, redis.SetArgs{Mode: "NX", TTL: l.ttl}).Err()
	if errors.Is(err, redis.Nil) {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.until = from.Add(l.ttl)
	return noToken, true, nil
}

func (l *singleLock) Held() (token uint64, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return noToken, time.Now().Before(l.until)
}

// ifMine does something to a key that is the holder's.
var ifMine = redis.NewScript(`
if redis.call("GET", KEYS[1]) ~= ARGV[1] then return 0 end
if ARGV[2] == "0" then return redis.call("DEL", KEYS[1]) end
return redis.call("PEXPIRE", KEYS[1], ARGV[2])`)

// errSingleLost says that another has the lock, or nobody.
var errSingleLost = errors.New("redis: the lock is lost")

func (l *singleLock) Renew(ctx context.Context) error {
	from := time.Now()
	n, err := ifMine.Run(ctx, l.client, []string{l.key}, l.mine, l.ttl.Milliseconds()).Int()
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if n == 0 {
		l.until = time.Time{}
		return errSingleLost
	}
	l.until = from.Add(l.ttl)
	return nil
}

func (l *singleLock) Release(ctx context.Context) error {
	l.mu.Lock()
	l.until = time.Time{}
	l.mu.Unlock()
	return ifMine.Run(ctx, l.client, []string{l.key}, l.mine, 0).Err()
}

func (l *singleLock) close() { _ = l.client.Close() }
