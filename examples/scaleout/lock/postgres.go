// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/ashlar-go/ashlar/quorum"
)

// A postgresAcceptor is a [quorum.Acceptor] that keeps its slots in a table of
// one PostgreSQL. It is a server of its own: a standby of another would make
// two replicas of one.
type postgresAcceptor[V any] struct{ pool *pgxpool.Pool }

// newPostgresAcceptor returns an acceptor at a URL of PostgreSQL, which it need
// not reach yet. See makeSlots.
func newPostgresAcceptor[V any](ctx context.Context, url string, timeout time.Duration) (*postgresAcceptor[V], error) {
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, err
	}
	config.ConnConfig.ConnectTimeout = timeout
	pool, err := pgxpool.NewWithConfig(ctx, config)
	return &postgresAcceptor[V]{pool}, err
}

// makeSlots makes the table, once for all.
func (a *postgresAcceptor[V]) makeSlots(ctx context.Context) error {
	_, err := a.pool.Exec(ctx, "CREATE TABLE IF NOT EXISTS quorum_slot (key text PRIMARY KEY, slot text NOT NULL)")
	return err
}

func (a *postgresAcceptor[V]) Prepare(ctx context.Context, key string, b quorum.Ballot) (answer quorum.Slot[V], err error) {
	err = a.change(ctx, key, func(s *quorum.Slot[V]) { answer = s.Prepare(b) })
	return answer, err
}

func (a *postgresAcceptor[V]) Accept(ctx context.Context, key string, p quorum.Slot[V]) (answer quorum.Ballot, err error) {
	err = a.change(ctx, key, func(s *quorum.Slot[V]) { answer = s.Accept(p) })
	return answer, err
}

// change does f to a slot, again if another has changed it meanwhile.
func (a *postgresAcceptor[V]) change(ctx context.Context, key string, f func(*quorum.Slot[V])) error {
	const insert = "INSERT INTO quorum_slot VALUES ($1, $2) ON CONFLICT DO NOTHING"
	const update = "UPDATE quorum_slot SET slot = $2 WHERE key = $1 AND slot = $3"
	for {
		var old string
		err := a.pool.QueryRow(ctx, "SELECT slot FROM quorum_slot WHERE key = $1", key).Scan(&old)
		missing := errors.Is(err, pgx.ErrNoRows)
		if err != nil && !missing {
			return err
		}
		var s quorum.Slot[V]
		if !missing {
			if err := json.Unmarshal([]byte(old), &s); err != nil {
				return err
			}
		}
		f(&s)
		next, err := json.Marshal(s)
		if err != nil || string(next) == old {
			return err
		}

		query, args := update, []any{key, string(next), old}
		if missing {
			query, args = insert, args[:2]
		}
		if tag, err := a.pool.Exec(ctx, query, args...); err != nil || tag.RowsAffected() == 1 {
			return err
		}
	}
}

func (a *postgresAcceptor[V]) close() { a.pool.Close() }

var _ quorum.Acceptor[string, int] = (*postgresAcceptor[int])(nil)
