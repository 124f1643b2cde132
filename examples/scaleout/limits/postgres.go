// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/ashlar-go/ashlar/ratelimit"
)

// postgresStore keeps the buckets of a [ratelimit.Shared] in a table of
// PostgreSQL.
type postgresStore struct{ pool *pgxpool.Pool }

// newPostgresStore returns a store at a URL of PostgreSQL, which it need not
// reach yet. See makeTable.
func newPostgresStore(ctx context.Context, url string) (*postgresStore, error) {
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, err
	}
	config.ConnConfig.ConnectTimeout = time.Second
	pool, err := pgxpool.NewWithConfig(ctx, config)
	return &postgresStore{pool}, err
}

// makeTable makes the table, once for all processes.
func (s *postgresStore) makeTable(ctx context.Context) error {
	_, err := s.pool.Exec(ctx, `CREATE TABLE IF NOT EXISTS rate_limit (
		key text PRIMARY KEY, state bytea NOT NULL, expires timestamptz)`)
	return err
}

func (s *postgresStore) Load(ctx context.Context, key string) (state []byte, err error) {
	err = s.pool.QueryRow(ctx, `SELECT state FROM rate_limit
		WHERE key = $1 AND (expires IS NULL OR expires > clock_timestamp())`, key).Scan(&state)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	return state, err
}

func (s *postgresStore) CompareAndSwap(ctx context.Context, key string, old, next []byte, ttl time.Duration) (bool, error) {
	var life *int64 // in microseconds; nil is without end
	if ttl > 0 {
		us := (ttl + time.Microsecond - 1).Microseconds()
		life = &us
	}
	const insert = `INSERT INTO rate_limit VALUES ($1, $2, clock_timestamp() + $3 * interval '1 microsecond')
		ON CONFLICT (key) DO UPDATE SET state = excluded.state, expires = excluded.expires
		WHERE rate_limit.expires <= clock_timestamp()`
	const update = `UPDATE rate_limit SET state = $2, expires = clock_timestamp() + $3 * interval '1 microsecond'
		WHERE key = $1 AND state = $4 AND (expires IS NULL OR expires > clock_timestamp())`

	if len(old) == 0 {
		tag, err := s.pool.Exec(ctx, insert, key, next, life)
		return tag.RowsAffected() == 1, err
	}
	tag, err := s.pool.Exec(ctx, update, key, next, life, old)
	return tag.RowsAffected() == 1, err
}

// now is the clock of the server, which all processes share.
func (s *postgresStore) now(ctx context.Context) (t time.Time, err error) {
	err = s.pool.QueryRow(ctx, "SELECT clock_timestamp()").Scan(&t)
	return t, err
}

func (s *postgresStore) close() { s.pool.Close() }

var _ ratelimit.Store = (*postgresStore)(nil)
