// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"errors"
	"sync/atomic"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/ashlar-go/ashlar/lru"
)

// A pgStore keeps values in a table of PostgreSQL: for [lru.Through] by Set,
// and for [lru.Behind] by Apply, as BehindOptions.Apply. Keys are UTF-8 without
// zero bytes; the server refuses others.
//
// A batch whose answer is lost or late is sent again, and the first one may be
// carried out after the second, or after one with newer values. So each has a
// number, which goes up, and the server refuses those that come too late.
type pgStore struct {
	pool       *pgxpool.Pool
	writer     string
	attempt    atomic.Int64  // the number of the last batch
	statements atomic.Uint64 // that were sent
	bad        storeFaults
}

// storeFaults are what tests break.
type storeFaults struct {
	forgetErrors bool // a batch that failed is taken for saved
	noDeletes    bool // batches have no deletes
	noTurns      bool // a batch is carried out however late it comes
}

// errLate is returned for a batch that was overtaken by another.
var errLate = errors.New("writebehind: a batch came too late")

// The statements. Each of a batch sees what was committed before it began.
const (
	createTables = `
		CREATE TABLE IF NOT EXISTS lru_value (key text PRIMARY KEY, value bytea NOT NULL);
		CREATE TABLE IF NOT EXISTS lru_writer (writer text PRIMARY KEY, attempt bigint NOT NULL)`
	beginWriter = `INSERT INTO lru_writer VALUES ($1, 0)
		ON CONFLICT (writer) DO UPDATE SET attempt = ((lru_writer.attempt >> 32) + 1) << 32
		RETURNING attempt`
	takeTurn = `INSERT INTO lru_writer VALUES ($1, $2)
		ON CONFLICT (writer) DO UPDATE SET attempt = excluded.attempt
		WHERE lru_writer.attempt < excluded.attempt`
	setMany = `INSERT INTO lru_value SELECT * FROM unnest($3::text[], $4::bytea[])
		WHERE $2 = (SELECT attempt FROM lru_writer WHERE writer = $1)
		ON CONFLICT (key) DO UPDATE SET value = excluded.value`
	deleteMany = `DELETE FROM lru_value WHERE key = ANY($3::text[])
		AND $2 = (SELECT attempt FROM lru_writer WHERE writer = $1)`
	loadOne   = `SELECT value FROM lru_value WHERE key = $1`
	setOne    = `INSERT INTO lru_value VALUES ($1, $2) ON CONFLICT (key) DO UPDATE SET value = excluded.value`
	deleteOne = `DELETE FROM lru_value WHERE key = $1`
)

// openStore makes the tables if they are not there, and returns the store of a
// writer: one process at a time has that name, with one Behind.
func openStore(ctx context.Context, pool *pgxpool.Pool, writer string) (*pgStore, error) {
	if _, err := pool.Exec(ctx, createTables); err != nil {
		return nil, err
	}
	s := &pgStore{pool: pool, writer: writer}
	var attempt int64
	err := pool.QueryRow(ctx, beginWriter, writer).Scan(&attempt)
	s.attempt.Store(attempt)
	return s, err
}

// Load returns the value of key.
func (s *pgStore) Load(ctx context.Context, key string) (value []byte, err error) {
	err = s.pool.QueryRow(ctx, loadOne, key).Scan(&value)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, lru.ErrNotFound
	}
	return value, err
}

// Set stores value under key. If ctx ends first, it may be carried out at any
// later time: let the server end it before, by statement_timeout.
func (s *pgStore) Set(ctx context.Context, key string, value []byte) error {
	s.statements.Add(1)
	_, err := s.pool.Exec(ctx, setOne, key, notNull(value))
	return err
}

// notNull returns value, which is not to be NULL if it is nil.
func notNull(value []byte) []byte { return append([]byte{}, value...) }

// Delete removes key, as Set.
func (s *pgStore) Delete(ctx context.Context, key string) error {
	s.statements.Add(1)
	_, err := s.pool.Exec(ctx, deleteOne, key)
	return err
}

// Apply saves several writes in one transaction and one round trip, of two or
// three statements.
func (s *pgStore) Apply(ctx context.Context, sets []lru.Pair[string, []byte], deletes []string) error {
	return s.apply(ctx, s.attempt.Add(1), sets, deletes)
}

func (s *pgStore) apply(ctx context.Context, attempt int64, sets []lru.Pair[string, []byte], deletes []string) error {
	keys := make([]string, len(sets))
	values := make([][]byte, len(sets))
	for i, p := range sets {
		keys[i], values[i] = p.Key, notNull(p.Value)
	}
	batch := new(pgx.Batch)
	if !s.bad.noTurns {
		batch.Queue(takeTurn, s.writer, attempt)
	} else {
		batch.Queue(`INSERT INTO lru_writer VALUES ($1, $2) ON CONFLICT (writer) DO UPDATE SET attempt = excluded.attempt`, s.writer, attempt)
	}
	if len(sets) > 0 {
		batch.Queue(setMany, s.writer, attempt, keys, values)
	}
	if len(deletes) > 0 && !s.bad.noDeletes {
		batch.Queue(deleteMany, s.writer, attempt, deletes)
	}

	// The first says whether it is too late. All are committed by Close.
	s.statements.Add(uint64(batch.Len()))
	results := s.pool.SendBatch(ctx, batch)
	tag, err := results.Exec()
	if err == nil && tag.RowsAffected() == 0 {
		err = errLate
	}
	err = errors.Join(err, results.Close())
	if s.bad.forgetErrors {
		return nil
	}
	return err
}

var _ lru.Store[string, []byte] = (*pgStore)(nil)
