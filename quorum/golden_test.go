// SPDX-License-Identifier: MIT

package quorum

import (
	"strings"
	"testing"
)

// etcdVotes are the cases of go.etcd.io/raft/v3 v3.6.0, quorum/testdata, files
// majority_vote.txt and joint_vote.txt, whose sets are not empty. A line is
// the voters, those of the outgoing configuration or -, their votes in
// ascending order (y, n, or _ for none), and the result.
const etcdVotes = `
1 - _ pending
1 - n lost
123 - y won
4,8 - _,_ pending
4,8 - n,_ lost
4,8 - y,_ pending
4,8 - n,y lost
4,8 - y,y won
2,4,7 - _,_,_ pending
2,4,7 - n,_,_ pending
2,4,7 - y,_,_ pending
2,4,7 - n,n,_ lost
2,4,7 - y,n,_ pending
2,4,7 - y,y,_ won
2,4,7 - y,y,n won
2,4,7 - n,y,n lost
1,2,3,4,5,6,7 - y,y,n,y,_,_,_ pending
1,2,3,4,5,6,7 - _,y,y,_,n,y,n pending
1,2,3,4,5,6,7 - y,y,n,y,_,n,y won
1,2,3,4,5,6,7 - y,y,_,n,y,n,n pending
1,2,3,4,5,6,7 - y,y,n,y,n,n,n lost
1 1 _ pending
1 1 y won
1 1 n lost
1 2 _,_ pending
1 2 y,_ pending
1 2 y,y won
1 2 y,n lost
1 2 n,_ lost
1 2 n,n lost
1 2 n,y lost
1,2 3,4 _,_,_,_ pending
1,2 3,4 y,_,_,_ pending
1,2 3,4 y,y,_,_ pending
1,2 3,4 y,y,n,_ lost
1,2 3,4 y,y,n,n lost
1,2 3,4 y,y,y,n lost
1,2 3,4 y,y,y,y won
1,2 2,3 _,_,_ pending
1,2 2,3 _,n,_ lost
1,2 2,3 y,y,_ pending
1,2 2,3 y,y,n lost
1,2 2,3 y,y,y won
1,2 1,2 _,_ pending
1,2 1,2 y,_ pending
1,2 1,2 y,n lost
1,2 1,2 n,_ lost
1,2 1,2 n,n lost
1,2,3 2,3,4 _,_,_,_ pending
1,2,3 2,3,4 _,n,_,_ pending
1,2,3 2,3,4 _,n,n,_ lost
1,2,3 2,3,4 _,y,y,_ won
1,2,3 2,3,4 y,y,_,_ pending
1,2,3 2,3,4 y,y,n,_ pending
1,2,3 2,3,4 y,y,n,n lost
1,2,3 2,3,4 y,y,n,y won
`

// TestGolden checks the votes of majorities, and of two majorities at once,
// against those of etcd.
func TestGolden(t *testing.T) {
	for line := range strings.Lines(strings.TrimSpace(etcdVotes)) {
		f := strings.Fields(line)
		incoming, outgoing := parseVoters(t, f[0]), parseVoters(t, f[1])
		s := Majority(incoming)
		if outgoing != 0 {
			s = Of(2, s, Majority(outgoing))
		}

		var ok, failed Set
		votes := strings.Split(f[2], ",")
		for i := range (incoming | outgoing).All() {
			switch votes[0] {
			case "y":
				ok |= SetOf(i)
			case "n":
				failed |= SetOf(i)
			}
			votes = votes[1:]
		}
		if got := s.Vote(ok, failed); got.String() != f[3] {
			t.Errorf("%s: vote = %v", strings.TrimSpace(line), got)
		}
	}
}

// parseVoters returns the set that text lists. Number 123 has no place in a
// Set; it is 12 here.
func parseVoters(t *testing.T, text string) (s Set) {
	t.Helper()
	if text == "-" {
		return 0
	}
	for f := range strings.SplitSeq(strings.ReplaceAll(text, "123", "12"), ",") {
		i := 0
		for _, digit := range f {
			i = 10*i + int(digit-'0')
		}
		s |= SetOf(i)
	}
	return s
}
