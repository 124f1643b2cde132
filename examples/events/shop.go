// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"fmt"
	"io"
	"slices"
)

// A line is one line of an order.
type line struct {
	item     string
	quantity int
	price    int
}

// An order is what a customer has bought.
type order struct {
	id    int
	lines []line
}

// total returns the sum of an order.
func (o *order) total() (sum int) {
	for _, l := range o.lines {
		sum += l.quantity * l.price
	}
	return sum
}

// theOrder is two cups of 50 and a spoon of 30.
var theOrder = order{id: 1, lines: []line{{"cup", 2, 50}, {"spoon", 1, 30}}}

// An event says that an order was placed. It carries the order, or only its
// number.
type event struct {
	offset int
	id     int
	order  *order // nil in a notification
}

// A bus keeps events and hands them to subscribers, each on its own.
type bus struct {
	log    []event
	others []*subscription
	broken bool // in tests: the panic of one ends the round
}

// A subscription is a consumer and how far it has come.
type subscription struct {
	name    string
	next    int
	handle  func(e event) error
	failing int // events that it could not handle
}

// subscribe adds a consumer, which begins with the first event of all: what
// happened before it was there happened for it, too.
func (b *bus) subscribe(name string, handle func(e event) error) *subscription {
	s := &subscription{name: name, handle: handle}
	b.others = append(b.others, s)
	return s
}

// publish adds an event.
func (b *bus) publish(e event) {
	e.offset = len(b.log)
	b.log = append(b.log, e)
}

// deliver hands each consumer what it has not had. One that fails or panics is
// noted and does not stop the others; it gets the event again the next time.
func (b *bus) deliver() {
	for _, s := range b.others {
		for s.next < len(b.log) {
			if err := s.try(b.log[s.next]); err != nil {
				s.failing++
				break
			}
			s.next++
		}
		if b.broken && s.failing > 0 {
			return
		}
	}
}

// try lets a consumer handle an event, and makes an error of its panic.
func (s *subscription) try(e event) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%s: %v", s.name, p)
		}
	}()
	return s.handle(e)
}

// A shop sells, and its services do what follows from that.
type shop struct {
	orders map[int]*order
	stock  map[string]int
	mails  []string
	income int

	calls, callbacks int // that the shop makes and waits for, and that it gets
	known            int // services that the shop knows
}

func newShop() *shop {
	return &shop{orders: map[int]*order{}, stock: map[string]int{"cup": 10, "spoon": 10}}
}

// The services.
func (s *shop) inventory(o *order) {
	for _, l := range o.lines {
		s.stock[l.item] -= l.quantity
	}
}

func (s *shop) notification(o *order) {
	s.mails = append(s.mails, fmt.Sprintf("order %d: %d", o.id, o.total()))
}

func (s *shop) analytics(o *order) { s.income += o.total() }

// lookUp answers a consumer that was told of a number only.
func (s *shop) lookUp(id int) *order {
	s.callbacks++
	return s.orders[id]
}

// sell sells an order in one of three ways.
func (s *shop) sell(how string, o *order) {
	s.orders[o.id] = o
	services := []func(*order){s.inventory, s.notification, s.analytics}
	if how == "calls" {
		s.known = len(services)
		for _, call := range services {
			s.calls++
			call(o)
		}
		return
	}

	// The shop knows the bus alone, and waits for nobody.
	b := new(bus)
	for i, service := range services {
		b.subscribe(fmt.Sprint("service ", i), func(e event) error {
			o := e.order
			if o == nil {
				o = s.lookUp(e.id)
			}
			service(o)
			return nil
		})
	}
	e := event{id: o.id}
	if how == "event-carried state" {
		e.order = o
	}
	b.publish(e)
	b.deliver()
}

// check checks that all services have done their part.
func (s *shop) check() error {
	want := fmt.Sprintf("order %d: %d", theOrder.id, theOrder.total())
	if s.stock["cup"] != 8 || s.stock["spoon"] != 9 || s.income != 130 || !slices.Equal(s.mails, []string{want}) {
		return fmt.Errorf("shop: stock %v, income %d, mails %q", s.stock, s.income, s.mails)
	}
	return nil
}

// reportShop sells one order in three ways, and lets consumers come and fail.
func reportShop(_ context.Context, w io.Writer) error {
	fmt.Fprintf(w, "an order of 2 x 50 + 1 x 30 = %d, for inventory, notification and analytics\n", theOrder.total())
	fmt.Fprintf(w, "%-22s%16s%18s%18s\n", "", "calls it makes", "services it knows", "calls it gets")
	for _, how := range []string{"calls", "event notification", "event-carried state"} {
		s := newShop()
		s.sell(how, &theOrder)
		if err := s.check(); err != nil {
			return err
		}
		fmt.Fprintf(w, "%-22s%16d%18d%18d\n", how, s.calls, s.known, s.callbacks)
	}

	b, seen, late := faulty(false)
	fmt.Fprintf(w, "one of three consumers panics: the others have %d and %d of %d events\n", seen[0], seen[2], len(b.log))
	fmt.Fprintf(w, "a consumer that comes later replays %d events from offset 0\n", late)
	if seen[0] != len(b.log) || seen[2] != len(b.log) || late != len(b.log) || seen[1] != 1 {
		return fmt.Errorf("bus: consumers have seen %v and %d of %d events", seen, late, len(b.log))
	}
	_, err := fmt.Fprint(w, "law holds: each service did its part once, in all three ways\n\n")
	return err
}

// faulty publishes three events to three consumers, of which the second panics
// at the second event, and then to one that comes later. It returns how many
// each has seen.
func faulty(broken bool) (b *bus, seen [3]int, late int) {
	b = &bus{broken: broken}
	for i := range seen {
		b.subscribe(fmt.Sprint("consumer ", i), func(e event) error {
			if i == 1 && e.offset == 1 {
				panic("a bug")
			}
			seen[i]++
			return nil
		})
	}
	for id := range 3 {
		b.publish(event{id: id})
		b.deliver()
	}
	b.subscribe("late", func(event) error { late++; return nil })
	b.deliver()
	return b, seen, late
}
