// SPDX-License-Identifier: MIT

package main

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"strconv"
)

// A person is a record.
type person struct {
	id   string
	name string // the family name first
	city string
	age  int
}

// A city has a place on the globe, in degrees, and a share of the people.
type city struct {
	name      string
	lat, long float64
	share     int
}

// cities are where generated people live. The first ones are also where the
// shards stand, one in each.
var cities = []city{
	{"London", 51.5, -0.1, 9},
	{"New York", 40.7, -74.0, 10},
	{"Singapore", 1.35, 103.8, 6},
	{"Sao Paulo", -23.6, -46.6, 10},
	{"Mumbai", 19.1, 72.9, 12},
	{"Sydney", -33.9, 151.2, 5},
	{"Tokyo", 35.7, 139.7, 14},
	{"Lagos", 6.5, 3.4, 9},
	{"San Francisco", 37.8, -122.4, 4},
	{"Frankfurt", 50.1, 8.7, 3},
	{"Cairo", 30.0, 31.2, 8},
	{"Seoul", 37.6, 127.0, 9},
	{"Johannesburg", -26.2, 28.0, 5},
	{"Mexico City", 19.4, -99.1, 9},
	{"Delhi", 28.6, 77.2, 13},
	{"Stockholm", 59.3, 18.1, 2},
	{"Toronto", 43.7, -79.4, 5},
	{"Paris", 48.9, 2.4, 8},
	{"Madrid", 40.4, -3.7, 5},
	{"Istanbul", 41.0, 29.0, 8},
	{"Jakarta", -6.2, 106.8, 9},
	{"Manila", 14.6, 121.0, 8},
	{"Nairobi", -1.3, 36.8, 4},
	{"Buenos Aires", -34.6, -58.4, 7},
}

// Names that are common somewhere. Their first letters are as uneven as letters
// are.
var (
	families = []string{
		"Adams", "Ali", "Allen", "Baker", "Becker", "Brown", "Chen", "Clark",
		"Costa", "Davis", "Diaz", "Evans", "Fischer", "Garcia", "Gupta", "Hall",
		"Haddad", "Ito", "Jackson", "Johnson", "Jones", "Kaya", "Khan", "Kim",
		"Kumar", "Lee", "Lopez", "Martin", "Meyer", "Miller", "Mohamed", "Moore",
		"Murphy", "Nguyen", "Okafor", "Park", "Patel", "Perez", "Rossi", "Sato",
		"Schmidt", "Schneider", "Schulz", "Scott", "Shah", "Sharma", "Silva",
		"Singh", "Smith", "Souza", "Suzuki", "Tanaka", "Taylor", "Thomas",
		"Torres", "Wagner", "Walker", "Wang", "Weber", "White", "Williams",
		"Wilson", "Wright", "Yang", "Yilmaz", "Young", "Zhang", "Zhou",
	}
	givens = []string{
		"Aisha", "Ana", "Ben", "Carla", "Dmitri", "Emma", "Farid", "Grace",
		"Hana", "Ivan", "Jin", "Kofi", "Lena", "Mei", "Noah", "Olga", "Priya",
		"Rui", "Sara", "Tom", "Uma", "Vera", "Yuki", "Zoe",
	}
)

// generate returns n people who follow from the seed.
func generate(seed uint64, n int) []person {
	rng := rand.New(rand.NewPCG(seed, 1))
	total := 0
	for _, c := range cities {
		total += c.share
	}
	people := make([]person, n)
	for i := range people {
		people[i] = person{
			id:   fmt.Sprintf("p%06d", i),
			name: families[rng.IntN(len(families))] + " " + givens[rng.IntN(len(givens))],
			city: someCity(rng.IntN(total)),
			age:  18 + int(rng.ExpFloat64()*20)%70,
		}
	}
	return people
}

// someCity returns the city in which the ticket of a person falls.
func someCity(ticket int) string {
	for _, c := range cities {
		if ticket < c.share {
			return c.name
		}
		ticket -= c.share
	}
	panic("shards: a ticket beyond all cities")
}

// readPeople reads lines of id,name,city,age. A first line that has no age is a
// heading.
func readPeople(r io.Reader) ([]person, error) {
	in := csv.NewReader(r)
	in.FieldsPerRecord = 4
	in.ReuseRecord = true
	var people []person
	seen := map[string]bool{}
	for line := 1; ; line++ {
		f, err := in.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}

		p := person{id: f[0], name: f[1], city: f[2]}
		if p.age, err = strconv.Atoi(f[3]); err != nil && line == 1 {
			continue
		}
		switch {
		case err != nil || p.age < 0:
			return nil, fmt.Errorf("line %d: age %q is no number", line, f[3])
		case p.id == "" || seen[p.id]:
			return nil, fmt.Errorf("line %d: id %q is empty, or another person's", line, p.id)
		case len(people) == maxPeople:
			return nil, fmt.Errorf("more than %d people", maxPeople)
		}
		seen[p.id] = true
		people = append(people, p)
	}
	if len(people) == 0 {
		return nil, errors.New("it has no people")
	}
	return people, nil
}

// kilometers returns the distance on the globe.
func kilometers(a, b city) float64 {
	rad := math.Pi / 180
	sinLat := math.Sin((a.lat - b.lat) * rad / 2)
	sinLong := math.Sin((a.long - b.long) * rad / 2)
	h := sinLat*sinLat + math.Cos(a.lat*rad)*math.Cos(b.lat*rad)*sinLong*sinLong
	return 2 * 6371 * math.Asin(math.Sqrt(min(h, 1)))
}

// atlas finds a city by its name. One that is not in it stands where the hash
// of its name says.
type atlas map[string]city

func newAtlas() atlas {
	a := atlas{}
	for _, c := range cities {
		a[c.name] = c
	}
	return a
}

func (a atlas) find(name string) city {
	c, ok := a[name]
	if !ok {
		h := hash(name)
		c = city{name: name, lat: float64(h%120) - 60, long: float64(h/120%360) - 180}
		a[name] = c
	}
	return c
}
