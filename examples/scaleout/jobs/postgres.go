// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// A postgresQueue is a queue in a table of PostgreSQL. Its effects are rows of
// another one, in the transaction in which their job ends.
type postgresQueue struct {
	pool *pgxpool.Pool
	f    *faults
}

// newPostgresQueue returns the queue of a server, and makes it if it is not
// there.
func newPostgresQueue(ctx context.Context, url string, f *faults) (*postgresQueue, error) {
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, err
	}
	config.ConnConfig.ConnectTimeout = time.Second
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, err
	}
	_, err = pool.Exec(ctx, `
		CREATE TABLE IF NOT EXISTS job (
			seq bigserial, id text PRIMARY KEY, payload text NOT NULL,
			ended text,              -- 'done' or 'dead'
			result text,             -- why it is dead
			tries int NOT NULL DEFAULT 0,
			token bigint NOT NULL DEFAULT 0,
			due timestamptz NOT NULL DEFAULT clock_timestamp());
		CREATE INDEX IF NOT EXISTS job_ready ON job (seq) WHERE ended IS NULL;
		CREATE TABLE IF NOT EXISTS effect (id text NOT NULL, token bigint NOT NULL, effect text NOT NULL)`)
	if err != nil {
		pool.Close()
		return nil, err
	}
	return &postgresQueue{pool, f}, nil
}

func (q *postgresQueue) enqueue(ctx context.Context, id, payload string) (bool, error) {
	tag, err := q.pool.Exec(ctx, "INSERT INTO job (id, payload) VALUES ($1, $2) ON CONFLICT DO NOTHING", id, payload)
	return tag.RowsAffected() == 1, err
}

// claim passes over jobs that another claims at this moment, and does not wait
// for it.
func (q *postgresQueue) claim(ctx context.Context, worker string) (*claim, error) {
	const query = `
		WITH next AS (SELECT id FROM job WHERE ended IS NULL AND due <= clock_timestamp()
			ORDER BY seq LIMIT 1 FOR UPDATE SKIP LOCKED)
		UPDATE job SET tries = tries + 1, token = token + 1, due = clock_timestamp() + $1 * interval '1 microsecond'
		FROM next WHERE job.id = next.id RETURNING job.id, payload, tries, token`
	for {
		c := &claim{worker: worker}
		var token int64
		err := q.pool.QueryRow(ctx, query, visibility.Microseconds()).Scan(&c.id, &c.payload, &c.try, &token)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil, errEmpty
		}
		if err != nil {
			return nil, err
		}
		c.token = token
		if c.try <= mostTries {
			return c, nil
		}
		if err := q.bury(ctx, c, errSilent); err != nil {
			return nil, err
		}
	}
}

func (q *postgresQueue) ack(ctx context.Context, c *claim, effect string) error {
	const end = "UPDATE job SET ended = 'done' WHERE id = $1 AND ((token = $2 AND ended IS NULL) OR $3)"
	return pgx.BeginFunc(ctx, q.pool, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, end, c.id, c.token, q.f.noGuard)
		if err != nil {
			return err
		}
		if tag.RowsAffected() == 0 {
			return q.ended(ctx, tx, c, "done")
		}
		_, err = tx.Exec(ctx, "INSERT INTO effect VALUES ($1, $2, $3)", c.id, c.token, effect)
		return err
	})
}

// ended looks at a job that is not the worker's: if this claim has ended it,
// the answer to an earlier call got lost.
func (q *postgresQueue) ended(ctx context.Context, tx pgx.Tx, c *claim, how string) error {
	mine := false
	err := tx.QueryRow(ctx, "SELECT token = $2 AND ended = $3 FROM job WHERE id = $1 AND ended IS NOT NULL", c.id, c.token, how).Scan(&mine)
	switch {
	case errors.Is(err, pgx.ErrNoRows), err == nil && !mine:
		return errNotYours
	default:
		return err
	}
}

func (q *postgresQueue) nack(ctx context.Context, c *claim, why error) error {
	if c.try >= mostTries {
		return q.bury(ctx, c, why)
	}
	pause := pauseAfter(c.try)
	if q.f.noPause {
		pause = 0
	}
	const query = `UPDATE job SET due = clock_timestamp() + $3 * interval '1 microsecond'
		WHERE id = $1 AND token = $2 AND ended IS NULL`
	tag, err := q.pool.Exec(ctx, query, c.id, c.token, pause.Microseconds())
	if err == nil && tag.RowsAffected() == 0 {
		err = errNotYours
	}
	return err
}

// bury makes a job a dead letter.
func (q *postgresQueue) bury(ctx context.Context, c *claim, why error) error {
	const query = "UPDATE job SET ended = 'dead', result = $3 WHERE id = $1 AND token = $2 AND ended IS NULL"
	return pgx.BeginFunc(ctx, q.pool, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, query, c.id, c.token, why.Error())
		if err == nil && tag.RowsAffected() == 0 {
			err = q.ended(ctx, tx, c, "dead")
		}
		return err
	})
}

func (q *postgresQueue) state(ctx context.Context) (*state, error) {
	s := &state{waiting: map[string]bool{}, ends: map[string][]ending{}}
	const query = `SELECT id, NULL, '' FROM job WHERE ended IS NULL
		UNION ALL SELECT id, false, result FROM job WHERE ended = 'dead'
		UNION ALL SELECT id, true, effect FROM effect`
	rows, err := q.pool.Query(ctx, query)
	if err != nil {
		return nil, err
	}
	var id, text string
	var done *bool
	_, err = pgx.ForEachRow(rows, []any{&id, &done, &text}, func() error {
		if done == nil {
			s.waiting[id] = true
		} else {
			s.ends[id] = append(s.ends[id], ending{*done, text})
		}
		return nil
	})
	return s, err
}

func (q *postgresQueue) close() { q.pool.Close() }

var _ queue = (*postgresQueue)(nil)
