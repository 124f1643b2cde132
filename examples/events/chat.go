// SPDX-License-Identifier: MIT

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"
)

// A message is one line of a chat.
type message struct {
	Room string
	From string
	N    int // of the sender, from 0
}

// A directory knows which servers have members of a room. In earnest it would
// be a store that all servers ask, or are told by.
type directory struct {
	mu    sync.Mutex
	rooms map[string]map[int]bool // by room: the servers
}

// add notes that a server has a member of a room.
func (d *directory) add(room string, server int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.rooms[room] == nil {
		d.rooms[room] = map[int]bool{}
	}
	d.rooms[room][server] = true
}

// has reports whether a server has a member of a room.
func (d *directory) has(room string, server int) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.rooms[room][server]
}

// A server has members that listen to streams of events, and passes messages on
// to other servers.
type server struct {
	id        int
	directory *directory // nil if it tells all other servers everything
	others    []string   // URLs, by number
	client    *http.Client

	mu        sync.Mutex
	listeners map[string]map[string]chan message // by room, then by member
	relayed   int                                // messages that other servers have sent
}

// room for messages of a member that is slow, after which senders wait.
const mailbox = 16

// ServeHTTP takes messages from members (/send) and servers (/relay), and
// streams them to members (/listen).
func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/listen":
		s.listen(w, r)
	case "/send", "/relay":
		var m message
		if err := json.NewDecoder(r.Body).Decode(&m); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		err := s.post(r.Context(), m)
		if r.URL.Path == "/send" && err == nil {
			err = s.passOn(r.Context(), m)
		} else if err == nil {
			s.mu.Lock()
			s.relayed++
			s.mu.Unlock()
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
		}
	default:
		http.NotFound(w, r)
	}
}

// listen streams the messages of a room to a member: server-sent events.
func (s *server) listen(w http.ResponseWriter, r *http.Request) {
	room, member := r.URL.Query().Get("room"), r.URL.Query().Get("member")
	box := make(chan message, mailbox)
	s.mu.Lock()
	if s.listeners[room] == nil {
		s.listeners[room] = map[string]chan message{}
	}
	s.listeners[room][member] = box
	s.mu.Unlock()
	if s.directory != nil {
		s.directory.add(room, s.id)
	}

	w.Header().Set("Content-Type", "text/event-stream")
	out := http.NewResponseController(w)
	fmt.Fprint(w, ": welcome\n\n")
	for err := out.Flush(); err == nil; err = out.Flush() {
		select {
		case m := <-box:
			fmt.Fprintf(w, "id: %s/%d\ndata: %s\n\n", m.From, m.N, m.Room)
		case <-r.Context().Done():
			return
		}
	}
}

// post puts a message into the boxes of the members that are here.
func (s *server) post(ctx context.Context, m message) error {
	s.mu.Lock()
	var boxes []chan message
	for _, box := range s.listeners[m.Room] {
		boxes = append(boxes, box)
	}
	s.mu.Unlock()
	for _, box := range boxes {
		select {
		case box <- m:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// passOn sends a message to the servers that are to have it.
func (s *server) passOn(ctx context.Context, m message) error {
	for i, url := range s.others {
		if i == s.id || s.directory != nil && !s.directory.has(m.Room, i) {
			continue
		}
		if err := send(ctx, s.client, url+"/relay", m); err != nil {
			return err
		}
	}
	return nil
}

// send posts a message.
func send(ctx context.Context, client *http.Client, url string, m message) error {
	body, err := json.Marshal(m)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(string(body)))
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, resp.Body)
	err = errors.Join(err, resp.Body.Close())
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", url, resp.Status)
	}
	return err
}

// Members, each with the server that it is on and its room. Two are on either
// side of one room, and two alone on one server.
var members = []struct {
	name, room string
	server     int
}{{"a", "both", 0}, {"b", "one", 0}, {"c", "both", 1}, {"d", "one", 0}}

// A chat is two servers and their members.
type chat struct {
	servers []*server
	urls    []string
	client  *http.Client
	heard   [][]string // by member: the messages, as from/number
}

// startChat starts two servers on loopback. stop ends them, and waits.
func startChat(ctx context.Context, d *directory) (c *chat, stop func() error, err error) {
	transport := &http.Transport{}
	c = &chat{client: &http.Client{Transport: transport}, heard: make([][]string, len(members))}
	ctx, cancel := context.WithCancel(ctx)
	g := new(errgroup.Group)
	stop = func() error {
		cancel()
		err := g.Wait()
		transport.CloseIdleConnections()
		return err
	}

	for i := range 2 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, nil, errors.Join(err, stop())
		}
		s := &server{id: i, directory: d, client: c.client, listeners: map[string]map[string]chan message{}}
		c.servers = append(c.servers, s)
		c.urls = append(c.urls, "http://"+l.Addr().String())
		h := &http.Server{Handler: s, BaseContext: func(net.Listener) context.Context { return ctx }}
		g.Go(func() error { // ends when the server is closed
			if err := h.Serve(l); !errors.Is(err, http.ErrServerClosed) {
				return err
			}
			return nil
		})
		context.AfterFunc(ctx, func() { _ = h.Close() }) // what it says is in Serve
	}
	for _, s := range c.servers {
		s.others = c.urls
	}
	return c, stop, nil
}

// roommates returns how many members a room has.
func roommates(room string) (n int) {
	for _, m := range members {
		if m.room == room {
			n++
		}
	}
	return n
}

// talk lets all members listen, and each send its messages, one after the
// other, all members at once.
func (c *chat) talk(ctx context.Context, messages int) error {
	listening, ctx := errgroup.WithContext(ctx)
	var ready sync.WaitGroup
	ready.Add(len(members))
	for i := range members {
		listening.Go(func() error { return c.hear(ctx, i, messages, ready.Done) }) // ends when it has heard all
	}
	ready.Wait()

	sending, sendCtx := errgroup.WithContext(ctx)
	for _, m := range members {
		sending.Go(func() error { // ends when all is sent
			for n := range messages {
				if err := send(sendCtx, c.client, c.urls[m.server]+"/send", message{m.room, m.name, n}); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return errors.Join(sending.Wait(), listening.Wait())
}

// hear reads the stream of a member, until it has all that its room says.
func (c *chat) hear(ctx context.Context, i, messages int, ready func()) (err error) {
	m := members[i]
	told := false
	tell := func() {
		if !told {
			told = true
			ready()
		}
	}
	defer tell()
	url := fmt.Sprintf("%s/listen?room=%s&member=%s", c.urls[m.server], m.room, m.name)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := c.client.Do(req)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, resp.Body.Close()) }()

	// The first line says that what is sent from now on will be heard.
	lines := bufio.NewScanner(resp.Body)
	for left := messages * roommates(m.room); left > 0 && lines.Scan(); {
		id, ok := strings.CutPrefix(lines.Text(), "id: ")
		if ok {
			c.heard[i] = append(c.heard[i], id)
			left--
		}
		if strings.HasPrefix(lines.Text(), ": welcome") {
			tell()
		}
	}
	return lines.Err()
}

// check checks that each member has heard each message of its room once, those
// of each sender in order.
func (c *chat) check(messages int) error {
	for i, m := range members {
		next := map[string]int{}
		for _, id := range c.heard[i] {
			from, _, _ := strings.Cut(id, "/")
			if want := fmt.Sprintf("%s/%d", from, next[from]); id != want {
				return fmt.Errorf("chat: %s hears %s, want %s", m.name, id, want)
			}
			next[from]++
		}
		for _, other := range members {
			want := 0
			if other.room == m.room {
				want = messages
			}
			if next[other.name] != want {
				return fmt.Errorf("chat: %s hears %d messages of %s, want %d", m.name, next[other.name], other.name, want)
			}
		}
	}
	return nil
}

// relays returns how many messages servers have sent to each other.
func (c *chat) relays() (n int) {
	for _, s := range c.servers {
		s.mu.Lock()
		n += s.relayed
		s.mu.Unlock()
	}
	return n
}

// reportChat lets four members talk, with and without a directory.
func reportChat(ctx context.Context, messages int, w io.Writer) error {
	fmt.Fprintf(w, "a chat of %d members on 2 servers, in 2 rooms, who say %d things each\n", len(members), messages)
	var counts []int
	for _, d := range []*directory{nil, {rooms: map[string]map[int]bool{}}} {
		c, stop, err := startChat(ctx, d)
		if err != nil {
			return err
		}
		err = c.talk(ctx, messages)
		if err = errors.Join(err, stop()); err == nil {
			err = c.check(messages)
		}
		if err != nil {
			return err
		}

		name := "broadcast to all servers"
		if d != nil {
			name = "a directory of who is where"
		}
		counts = append(counts, c.relays())
		fmt.Fprintf(w, "  %-28s %d messages between servers\n", name+":", c.relays())
	}
	if want := []int{messages * len(members), messages * roommates("both")}; !slices.Equal(counts, want) {
		return fmt.Errorf("chat: %v messages between servers, want %v", counts, want)
	}
	_, err := fmt.Fprint(w, "law holds: each member heard each message of its room once, each sender in order\n")
	return err
}
