// SPDX-License-Identifier: MIT

package consistenthash

import (
	"encoding/json"
	"math"
)

// NoShare is the weight of a node that is a member and owns no keys: one that
// is being drained, or that waits for its data.
const NoShare = -1

// A Node is a member of a ring.
//
// In JSON its members are name, weight and zone. A weight that is missing is 1;
// one that is 0 is [NoShare], since a person who writes 0 means that.
type Node struct {
	// Name identifies the node, in all processes and forever: its points follow
	// from it.
	Name string

	// Weight is the node's share relative to the others. If zero, 1. It is
	// absolute: a node has max(1, round(Weight·VirtualNodes)) points, whatever
	// the weights of the others; with [NoShare] it has none.
	Weight float64

	// Zone names the things that fail together with the node: a rack, a
	// building, a region. The nodes of a preference list come from as many
	// zones as there are. The empty Zone is a zone like any other.
	Zone string
}

// A nodeDocument is the JSON form of a Node.
type nodeDocument struct {
	Name   string   `json:"name"`
	Weight *float64 `json:"weight,omitempty"`
	Zone   string   `json:"zone,omitempty"`
}

// MarshalJSON returns the JSON form of n, described at [Node].
func (n Node) MarshalJSON() ([]byte, error) {
	d := nodeDocument{Name: n.Name, Zone: n.Zone}
	switch n.Weight {
	case 0: // the default
	case NoShare:
		d.Weight = new(float64)
	default:
		d.Weight = &n.Weight
	}
	return json.Marshal(d)
}

// UnmarshalJSON makes n the node in data.
func (n *Node) UnmarshalJSON(data []byte) error {
	var d nodeDocument
	if err := json.Unmarshal(data, &d); err != nil {
		return err
	}
	*n = Node{Name: d.Name, Zone: d.Zone}
	if d.Weight == nil {
		return nil
	}

	// A negative number in a file is a mistake, even the one that is NoShare in
	// a program: -Inf is a weight that every check refuses.
	switch w := *d.Weight; {
	case w == 0:
		n.Weight = NoShare
	case w < 0:
		n.Weight = math.Inf(-1)
	default:
		n.Weight = w
	}
	return nil
}

// badWeight reports whether n has a weight that no node may have.
func (n *Node) badWeight() bool {
	return math.IsNaN(n.Weight) || math.IsInf(n.Weight, 0) || n.Weight < 0 && n.Weight != NoShare
}
