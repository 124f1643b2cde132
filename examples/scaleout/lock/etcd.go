// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"errors"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
)

// An etcdLock is a lock that opens by itself if its holder dies: a key with a
// lease of etcd. Its token is the revision at which the key was made, which
// grows from holder to holder.
type etcdLock struct {
	client *clientv3.Client
	key    string
	ttl    time.Duration // in whole seconds, and at least what the server wants
	now    func() time.Time

	mu    sync.Mutex // protects the fields below
	lease clientv3.LeaseID
	token uint64 // 0 if it is not held
	until time.Time
}

// errEtcdLost says that the lock is not held any more.
var errEtcdLost = errors.New("etcd: the lease is lost")

func newEtcdLock(addr, key string, ttl, timeout time.Duration) (*etcdLock, error) {
	c, err := clientv3.New(clientv3.Config{Endpoints: []string{"http://" + addr}, DialTimeout: timeout, Logger: zap.NewNop()})
	return &etcdLock{client: c, key: key, ttl: ttl, now: time.Now}, err
}

// TryAcquire makes the key if nobody has it, and reports whether it has.
func (l *etcdLock) TryAcquire(ctx context.Context) (token uint64, ok bool, err error) {
	if token, ok := l.Held(); ok {
		return token, true, nil
	}
	from := l.now() // the lease begins later
	lease, err := l.client.Grant(ctx, int64(l.ttl/time.Second))
	if err != nil {
		return 0, false, err
	}
	free := clientv3.Compare(clientv3.CreateRevision(l.key), "=", 0)
	answer, err := l.client.Txn(ctx).If(free).Then(clientv3.OpPut(l.key, "", clientv3.WithLease(lease.ID))).Commit()
	if err != nil || !answer.Succeeded {
		_, _ = l.client.Revoke(ctx, lease.ID) // else it ends by itself
		return 0, false, err
	}

	l.mu.Lock()
	defer l.mu.Unlock()
	l.lease = lease.ID
	l.token = uint64(answer.Header.Revision)
	l.until = from.Add(min(l.ttl, time.Duration(lease.TTL)*time.Second))
	return l.token, true, nil
}

// Held returns the token if the lock is held now, by the clock of this machine.
func (l *etcdLock) Held() (token uint64, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.token == 0 || !l.now().Before(l.until) {
		return 0, false
	}
	return l.token, true
}

// Renew makes the lock last for another TTL.
func (l *etcdLock) Renew(ctx context.Context) error {
	token, ok := l.Held()
	if !ok {
		return errEtcdLost
	}
	from := l.now()
	l.mu.Lock()
	lease := l.lease
	l.mu.Unlock()
	answer, err := l.client.KeepAliveOnce(ctx, lease)
	l.mu.Lock()
	defer l.mu.Unlock()
	if errors.Is(err, rpctypes.ErrLeaseNotFound) && l.token == token {
		l.token = 0
		err = errEtcdLost
	}
	if err != nil {
		return err
	}
	if l.token == token {
		l.until = from.Add(min(l.ttl, time.Duration(answer.TTL)*time.Second))
	}
	return nil
}

// Release gives the lock back.
func (l *etcdLock) Release(ctx context.Context) error {
	l.mu.Lock()
	l.token = 0
	lease := l.lease
	l.mu.Unlock()
	_, err := l.client.Revoke(ctx, lease)
	return err
}

func (l *etcdLock) close() { _ = l.client.Close() }
