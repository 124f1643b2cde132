// SPDX-License-Identifier: MIT

package servers

import (
	"context"
	"io"
	"net"
	"sync"
	"sync/atomic"
)

// A Proxy passes connections on to a server, and loses answers: now and then it
// closes a connection when a request has gone through, and the answer is on its
// way. Whoever asked does not know what became of it. It can also hold answers
// back, as a network does that is cut without a word.
type Proxy struct {
	Addr string

	target string
	every  int64 // one answer of so many is lost
	count  atomic.Int64
	lost   atomic.Int64
	ln     net.Listener

	mu    sync.Mutex // protects conns and held
	conns map[net.Conn]struct{}
	held  chan struct{} // closed when answers go on; nil if they do
	wg    sync.WaitGroup
}

// NewProxy starts a proxy before the server at target that loses one answer of
// so many, or none if that is 0.
func NewProxy(ctx context.Context, target string, every int) (*Proxy, error) {
	ln, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &Proxy{Addr: ln.Addr().String(), target: target, every: int64(every), ln: ln, conns: make(map[net.Conn]struct{})}
	p.wg.Go(p.accept) // ends with the listener
	return p, nil
}

// Lost returns how many answers were lost.
func (p *Proxy) Lost() int { return int(p.lost.Load()) }

func (p *Proxy) accept() {
	for {
		conn, err := p.ln.Accept()
		if err != nil {
			return
		}
		p.keep(conn)
		p.wg.Go(func() { p.pass(conn) }) // ends with one of the connections
	}
}

func (p *Proxy) keep(conn net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conns[conn] = struct{}{}
}

// drop closes a connection.
func (p *Proxy) drop(conn net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, conn)
	_ = conn.Close() // it is given up
}

// pass passes bytes on in both directions.
func (p *Proxy) pass(client net.Conn) {
	defer p.drop(client)
	server, err := new(net.Dialer).Dial("tcp", p.target)
	if err != nil {
		return
	}
	p.keep(server)
	defer p.drop(server)
	p.wg.Go(func() { // ends when the client has closed, or is dropped
		_, _ = io.Copy(server, client)
		p.drop(server)
	})

	buf := make([]byte, 32<<10)
	for {
		n, err := server.Read(buf)
		if err != nil {
			return
		}
		if p.every > 0 && p.count.Add(1)%p.every == 0 {
			p.lost.Add(1)
			return
		}
		p.await()
		if _, err := client.Write(buf[:n]); err != nil {
			return
		}
	}
}

// Hold holds answers back until Release. Requests pass, and connections stay
// open.
func (p *Proxy) Hold() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.held == nil {
		p.held = make(chan struct{})
	}
}

// Release lets answers go on, those held back first.
func (p *Proxy) Release() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.held != nil {
		close(p.held)
		p.held = nil
	}
}

// await returns when answers may go on.
func (p *Proxy) await() {
	p.mu.Lock()
	held := p.held
	p.mu.Unlock()
	if held != nil {
		<-held
	}
}

// Close ends the proxy and its connections.
func (p *Proxy) Close() error {
	err := p.ln.Close()
	p.Release()
	p.mu.Lock()
	for conn := range p.conns {
		_ = conn.Close() // it is given up
	}
	p.mu.Unlock()
	p.wg.Wait()
	return err
}
