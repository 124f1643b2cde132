// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// A natsQueue is a queue in two streams of NATS JetStream: jobs, from which one
// goes when it is acknowledged, and how they ended, one message a job. The
// second has the effect: a server refuses a second message of the same subject.
type natsQueue struct {
	conn *nats.Conn
	js   jetstream.JetStream
	jobs jetstream.Consumer
	ends jetstream.Stream
	f    *faults
}

const (
	jobsSubject = "jobs."
	endsSubject = "ends."
)

// dedupWindow is for how long a stream knows the ids of messages.
const dedupWindow = 10 * time.Minute

// connectNATS connects to a server, also one that is away for a while.
func connectNATS(addr string) (*nats.Conn, jetstream.JetStream, error) {
	conn, err := nats.Connect("nats://"+addr, nats.MaxReconnects(-1), nats.ReconnectWait(50*time.Millisecond), nats.RetryOnFailedConnect(true))
	if err != nil {
		return nil, nil, err
	}
	js, err := jetstream.New(conn)
	return conn, js, err
}

// callTimeout is for how long a call may take. The client waits as long as its
// context lasts for an answer that a killed server does not give.
const callTimeout = time.Second

// newNATSQueue returns the queue of a server, and makes it if it is not there.
func newNATSQueue(ctx context.Context, addr string, f *faults) (q *natsQueue, err error) {
	q = &natsQueue{f: f}
	if q.conn, q.js, err = connectNATS(addr); err != nil {
		return nil, err
	}
	_, err = q.js.CreateOrUpdateStream(ctx, jetstream.StreamConfig{
		Name: "JOBS", Subjects: []string{jobsSubject + "*"}, Retention: jetstream.WorkQueuePolicy, Duplicates: dedupWindow,
	})
	if err == nil {
		q.jobs, err = q.js.CreateOrUpdateConsumer(ctx, "JOBS", jetstream.ConsumerConfig{
			Durable: "workers", AckPolicy: jetstream.AckExplicitPolicy, AckWait: visibility, MaxDeliver: -1,
		})
	}
	if err == nil {
		q.ends, err = q.js.CreateOrUpdateStream(ctx, jetstream.StreamConfig{Name: "ENDS", Subjects: []string{endsSubject + "*"}})
	}
	if err != nil {
		q.close()
		return nil, err
	}
	return q, nil
}

// An endMessage is a message of the second stream.
type endMessage struct {
	Done        bool
	Text, Claim string // by which claim: a worker finds its own
}

// endOf returns how a job has ended, or nil.
func (q *natsQueue) endOf(ctx context.Context, id string) (*endMessage, error) {
	m, err := q.ends.GetLastMsgForSubject(ctx, endsSubject+id)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	e := new(endMessage)
	return e, json.Unmarshal(m.Data, e)
}

func (q *natsQueue) enqueue(ctx context.Context, id, payload string) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	if end, err := q.endOf(ctx, id); end != nil || err != nil {
		return false, err
	}
	ack, err := q.js.Publish(ctx, jobsSubject+id, []byte(payload), jetstream.WithMsgID(id))
	if err != nil {
		return false, err
	}
	return !ack.Duplicate, nil
}

func (q *natsQueue) claim(ctx context.Context, worker string) (*claim, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	for {
		batch, err := q.jobs.Fetch(1, jetstream.FetchMaxWait(100*time.Millisecond))
		if err != nil {
			return nil, err
		}
		m, ok := <-batch.Messages()
		if !ok {
			if err := batch.Error(); err != nil && !errors.Is(err, nats.ErrTimeout) {
				return nil, err
			}
			return nil, errEmpty
		}
		meta, err := m.Metadata()
		if err != nil {
			return nil, err
		}
		c := &claim{
			id: strings.TrimPrefix(m.Subject(), jobsSubject), payload: string(m.Data()),
			worker: worker, try: int(meta.NumDelivered), token: m,
		}

		// It may have ended, and its ack got lost; or its workers have died.
		end, err := q.endOf(ctx, c.id)
		switch {
		case err != nil:
			return nil, err
		case end != nil:
			err = m.DoubleAck(ctx)
		case c.try > mostTries:
			err = q.end(ctx, c, endMessage{Text: errSilent.Error()})
		default:
			return c, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

func (q *natsQueue) ack(ctx context.Context, c *claim, effect string) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	return q.end(ctx, c, endMessage{Done: true, Text: effect})
}

// end ends a job, unless it has ended, and then removes it.
func (q *natsQueue) end(ctx context.Context, c *claim, e endMessage) error {
	e.Claim = fmt.Sprintf("%s, try %d", c.worker, c.try)
	data, err := json.Marshal(e)
	if err != nil {
		return err
	}
	opts := []jetstream.PublishOpt{jetstream.WithExpectLastSequencePerSubject(0)}
	if q.f.noGuard {
		opts = nil
	}
	_, err = q.js.Publish(ctx, endsSubject+c.id, data, opts...)

	// It has ended already: by this claim, if the answer to an earlier call got
	// lost, or by another.
	var refused *jetstream.APIError
	if errors.As(err, &refused) && refused.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence {
		old, e2 := q.endOf(ctx, c.id)
		switch {
		case e2 != nil:
			return e2
		case old == nil || old.Claim != e.Claim:
			return errNotYours
		}
		err = nil
	}
	if err != nil {
		return err
	}
	_ = c.token.(jetstream.Msg).DoubleAck(ctx) // else it comes again, and claim sees that it has ended
	return nil
}

func (q *natsQueue) nack(ctx context.Context, c *claim, why error) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	if c.try >= mostTries {
		return q.end(ctx, c, endMessage{Text: why.Error()})
	}
	pause := pauseAfter(c.try)
	if q.f.noPause {
		pause = 0
	}
	return c.token.(jetstream.Msg).NakWithDelay(pause)
}

func (q *natsQueue) state(ctx context.Context) (*state, error) {
	s := &state{waiting: map[string]bool{}, ends: map[string][]ending{}}
	info, err := q.info(ctx)
	if err != nil {
		return nil, err
	}
	for subject := range info.State.Subjects {
		s.waiting[strings.TrimPrefix(subject, jobsSubject)] = true
	}

	err = eachMessage(ctx, q.ends, func(m *jetstream.RawStreamMsg) error {
		var e endMessage
		err := json.Unmarshal(m.Data, &e)
		id := strings.TrimPrefix(m.Subject, endsSubject)
		s.ends[id] = append(s.ends[id], ending{e.Done, e.Text})
		return err
	})
	for id := range s.ends {
		delete(s.waiting, id) // it goes when it is claimed again
	}
	return s, err
}

// info says which jobs wait.
func (q *natsQueue) info(ctx context.Context) (*jetstream.StreamInfo, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	jobs, err := q.js.Stream(ctx, "JOBS")
	if err != nil {
		return nil, err
	}
	return jobs.Info(ctx, jetstream.WithSubjectFilter(jobsSubject+"*"))
}

// eachMessage calls f for each message of a stream from which none has gone.
func eachMessage(ctx context.Context, s jetstream.Stream, f func(*jetstream.RawStreamMsg) error) error {
	for seq := uint64(1); ; seq++ {
		call, cancel := context.WithTimeout(ctx, callTimeout)
		m, err := s.GetMsg(call, seq)
		cancel()
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			return nil
		}
		if err == nil {
			err = f(m)
		}
		if err != nil {
			return err
		}
	}
}

func (q *natsQueue) close() { q.conn.Close() }

var _ queue = (*natsQueue)(nil)
