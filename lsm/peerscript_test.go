// SPDX-License-Identifier: MIT

package lsm

// peerScripts are operations and outcomes of db_test.go and corrupt_test.go of
// github.com/syndtr/goleveldb, and of files in testdata of
// github.com/cockroachdb/pebble, whose sequences are snapshots here. Left out
// is what this database does not have: deletes of ranges, merges of values,
// comparers, bounds that change, and Recover.
var peerScripts = []peerScript{
	// Reads and writes.
	{"goleveldb Empty", "get foo none; all"},
	{"goleveldb ReadWrite", "set foo v1; get foo v1; set bar v2; set foo v3; get foo v3; get bar v2; reopen; get foo v3; get bar v2"},
	{"goleveldb PutDeleteGet", "set foo v1; get foo v1; set foo v2; get foo v2; del foo; get foo none; reopen; get foo none"},
	{"goleveldb EmptyBatch", "get foo none; batch; get foo none"},
	{"goleveldb GetFromTable", "set foo v1; flush; get foo v1"},
	{"goleveldb GetLevel0Ordering", `
		set bar b0; set foo v0; flush; set bar b1; set foo v1; flush; set bar b2; set foo v2; flush; set bar b3; set foo v3; flush
		get foo v3; get bar b3; reopen; get foo v3; get bar b3`},
	{"goleveldb GetOrderedByLevels", "set foo v1; flush; compact a z; get foo v1; set foo v2; flush; get foo v2"},
	{"goleveldb GetPicksCorrectFile", `
		set a va; flush; compact a b; set x vx; flush; compact x y; set f vf; flush; compact f g
		get a va; get f vf; get x vx; compact; get a va; get f vf; get x vx`},
	{"goleveldb GetEncountersEmptyLevel", `
		set a begin; set z end; compact; set a begin; set z end; flush; get a begin; get z end
		times 200 get missing none; get a begin; get z end`},
	{"goleveldb DeletionMarkersOnMemdb", "set foo v1; flush; del foo; get foo none; all"},
	{"goleveldb SingleEntryMemCompaction", `
		set big v*40000; flush; set key v*4096; flush; set k v; flush; set '' ''; flush; set verybig v*80000; flush
		set big w*40000; flush; set key w*4096; flush; set k w; flush; set '' w; flush; set verybig w*80000; flush
		all ''=w big=w*40000 k=w key=w*4096 verybig=w*80000`},
	{"pebble batch_get, a set", "batch a=1; get a 1; get b none"},
	{"pebble batch_get, two sets", "batch a=1 a=2; get a 2"},
	{"pebble batch_get, a delete", "batch a=1 a=2 -a; get a none; all"},
	{"pebble batch_get, a set after it", "batch a=1 a=2 -a a=3; get a 3; all a=3"},
	{"pebble large_keys", `
		fill a+p*60000+# 25 v; count 25; get a+p*60000+7 v; get a+p*60000 none; iter; ge a+p*60000+7 a+p*60000+7=v
		next a+p*60000+8=v; next a+p*60000+9=v; next none; last a+p*60000+9=v; compact; count 25; get a+p*60000+24 v`},

	// Recovery.
	{"goleveldb Recover", `
		set foo v1; set baz v5; reopen; get foo v1; get baz v5; set bar v2; set foo v3
		reopen; get foo v3; set foo v4; get foo v4; get bar v2; get baz v5`},
	{"goleveldb RecoverWithEmptyJournal", "set foo v1; set foo v2; reopen; reopen; set foo v3; reopen; get foo v3"},
	{"goleveldb SequenceNumberRecovery", `
		set foo v1; set foo v2; set foo v3; set foo v4; set foo v5; kill; get foo v5; set foo v6; get foo v6; reopen; get foo v6`},
	{"goleveldb SequenceNumberRecoveryTable", `
		set foo v1; set foo v2; set foo v3; flush; set foo v4; set foo v5; flush
		kill; get foo v5; set foo v6; get foo v6; reopen; get foo v6`},
	{"goleveldb Level0NewerFileHasOlderSeqnum, RecoverInvalidSeq_Issue53", `
		set a v1; set b v1; flush; set a v2; set b v2; flush; set a v3; set b v3; flush; set c v0; set d v0; flush; compact
		kill; all a=v3 b=v3 c=v0 d=v0`},
	{"goleveldb L0_CompactionBug_Issue44_a", `
		reopen; set b v; reopen; del b; del a; reopen; del a; reopen; set a v; reopen; reopen; all a=v; compact; all a=v`},
	{"goleveldb L0_CompactionBug_Issue44_b", `
		reopen; set '' ''; reopen; del e; set '' ''; reopen; set c cv; reopen; set '' ''; reopen; set '' ''; compact
		reopen; set d dv; reopen; set '' ''; reopen; del d; del b; reopen; all ''='' c=cv; compact; all ''='' c=cv`},

	// Deletes and merges.
	{"goleveldb OverlapInLevel0", `
		set 100 v100; set 999 v999; compact; del 100; del 999; flush; set 300 v300; set 500 v500; flush
		set 200 v200; set 600 v600; set 900 v900; flush; compact; del 600; flush; get 600 none
		all 200=v200 300=v300 500=v500 900=v900`},
	{"goleveldb HiddenValuesAreRemoved", `
		set foo v1; compact; set a begin; set z end; flush; del foo; set foo v2; get foo v2; flush; get foo v2
		compact; versions foo 1; get foo v2`},
	{"goleveldb DeletionMarkers2", "set foo v1; compact; set a begin; set z end; flush; del foo; flush; get foo none; compact; versions foo 0; get foo none"},
	{"goleveldb LeveldbIssue178", `
		fill my_key_# 300 one; fill my_key_#_xxx 300 two; unfill my_key_#_xxx 300; flush; compact my_key_0 my_key_299
		count 300; get my_key_7 one; get my_key_7_xxx none`},
	{"pebble manual_flush", "set a 1; set b 2; del a; del b; flush; all; set a 3; flush; set c 4; flush; all a=3 c=4"},
	{"pebble compaction_tombstones, nothing below", "del b; set a a; compact; versions a 1; versions b 0; all a=a"},
	{"pebble compaction_tombstones, a snapshot", `
		set a a; snap 59; del a; set b b; set c c; set d d; compact; versions a 2; versions b 1; get @59 a a; get @59 b none; get a none
		drop 59; compact; versions a 0; all b=b c=c d=d`},

	// Snapshots.
	{"goleveldb GetSnapshot", `
		set foo v1; set b*200 v1; snap s; set foo v2; set b*200 v2
		get foo v2; get b*200 v2; get @s foo v1; get @s b*200 v1
		flush; get foo v2; get b*200 v2; get @s foo v1; get @s b*200 v1; drop s; reopen; get foo v2; get b*200 v2`},
	{"goleveldb Snapshot", `
		set foo v1; snap 1; set foo v2; snap 2; set foo v3; snap 3; set foo v4
		get @1 foo v1; get @2 foo v2; get @3 foo v3; get foo v4; drop 3; get @1 foo v1; get @2 foo v2; get foo v4
		drop 1; get @2 foo v2; get foo v4; drop 2; get foo v4`},
	{"pebble snapshot, three keys", `
		set a 1; snap 1; set b 2; snap 2; set c 3; snap 3; iter @1; first a=1; next none; prev a=1
		iter @2; first a=1; next b=2; next none; prev b=2
		iter @3; first a=1; next b=2; next c=3; next none; prev c=3`},
	{"pebble snapshot, one key", `
		set a 1; snap 1; set a 2; snap 2; set a 3; snap 3
		iter @1; first a=1; next none; prev a=1; iter @2; first a=2; next none; prev a=2; iter @3; first a=3; next none; prev a=3`},
	{"pebble snapshot, merged", `
		set a 1; snap 1; set a 2; snap 2; set a 3; snap 3; compact a b; versions a 3
		iter @1; first a=1; next none; prev a=1; iter @2; first a=2; next none; prev a=2; iter @3; first a=3; next none; prev a=3`},
	{"pebble snapshot, two tables", "set a 1; compact a b; set c 2; snap 1; set c 3; compact c d; iter @1; first a=1; next c=2; next none"},

	// Iterators.
	{"goleveldb IterMultiWithDelete", `
		set a va; set b vb; set c vc; del b; get b none; iter; ge c c=vc; prev a=va; flush; iter; ge c c=vc; prev a=va`},
	{"goleveldb IteratorPinsRef", "set foo hello; iter; set foo new1; fill key# 100 v*1000; set foo new2; flush; compact; first foo=hello; next none"},
	{"goleveldb LeveldbIssue200", `
		set 1 b; set 2 c; set 3 d; set 4 e; set 5 f; iter; set 25 cd; ge 5 5=f; prev 4=e; prev 3=d; next 4=e; next 5=f`},
	{"pebble iterator, one version", "set a b; iter; ge a a=b; next none; prev a=b; iter; ge b none; iter; lt a none"},
	{"pebble iterator, two versions", `
		set a b; snap 2; set a c; iter @2; ge a a=b; next none; prev a=b; iter; ge a a=c; next none; prev a=c`},
	{"pebble iterator, a delete", `
		set a b; snap 2; del a; iter; ge a none; iter @2; ge 1 a=b; next none; iter; lt b none
		iter @2; lt b a=b; prev none; next a=b`},
	{"pebble iterator, a delete and a set", `
		set a b; snap 2; del a; snap 3; set b c; iter; ge a b=c; next none; iter @3; ge a none; iter @2; ge a a=b`},
	{"pebble iterator, deletes at once", `
		set a b; set b c; snap 3; batch -a -b c=d; iter; ge a c=d; ge b c=d; ge c c=d; iter @3; ge a a=b; ge b b=c; ge c none`},
	{"pebble iterator, three keys", `
		set a a; set b b; set c c; iter; ge a a=a; next b=b; next c=c; next none; iter; ge b b=b; next c=c; iter; ge c c=c
		iter; lt a none; iter; lt b a=a; prev none; next a=a; iter; lt c b=b; prev a=a; prev none; next a=a
		iter; lt d c=c; prev b=b; prev a=a; prev none; next a=a`},
	{"pebble iterator, a later key", `
		set a b; snap 2; set b c; iter @2; ge a a=b; next none; prev a=b; iter @2; ge b none; iter @2; lt a none
		iter @2; lt b a=b; prev none; next a=b; iter @2; lt c a=b; prev none; next a=b`},
	{"pebble iterator, prefixes of each other", `
		set a a; set aa aa; set aaa aaa; set b b
		iter; ge aa aa=aa; last b=b; prev aaa=aaa; prev aa=aa; prev a=a; prev none
		iter; ge aa aa=aa; first a=a; next aa=aa; next aaa=aaa; next b=b; next none
		iter; ge aaa aaa=aaa; ge aa aa=aa; next aaa=aaa; next b=b; next none; iter; ge aaa aaa=aaa; ge aaa aaa=aaa; next b=b; next none
		iter; ge aaa aaa=aaa; lt aa a=a; next aa=aa; next aaa=aaa; next b=b; next none
		iter; ge aaa aaa=aaa; lt b aaa=aaa; next b=b; next none`},
	{"pebble iterator, two keys", "set a a; set b b; iter; first a=a; next b=b; next none"},
	{"pebble iterator, a lower bound", `
		set a a; set b b; set c c; set d d; iter a; ge a a=a; first a=a; prev none; iter b; ge a b=b; first b=b; prev none
		iter c; ge a c=c; first c=c; prev none; iter d; ge a d=d; first d=d; prev none; iter e; ge a none; first none
		iter a; lt d c=c; next d=d; next none; iter b; first b=b; iter b; last d=d; iter b; lt c b=b; next c=c`},
	{"pebble iterator, an upper bound", `
		set a a; set b b; set c c; set d d; iter '' d; lt d c=c; last c=c; next none; iter '' c; lt d b=b; last b=b; next none
		iter '' b; lt d a=a; last a=a; next none; iter '' a; lt d none; last none
		iter '' b; first a=a; iter '' b; last a=a; iter '' d; ge c c=c; prev b=b; iter '' e; ge a a=a`},
	{"pebble iterator, both bounds", "set a a; set b b; set c c; set d d; iter b c; ge a b=b; next none; iter b z; ge a b=b"},
	{"pebble iterator_seek_opt", `
		batch b=1 c=1 d=1 e=1; flush; set d 2; flush; set a 3; flush; set a 4; flush
		iter; ge a a=4; ge b b=1; ge c c=1; ge bb c=1; ge bbb c=1; next d=2; ge e e=1; prev d=2; ge b b=1
		iter a aa; ge a a=4; iter a c; ge b b=1; ge bb none; iter a d; ge bbb c=1; ge cc none
		iter a c; ge b b=1; iter c e; ge c c=1; iter c e; ge d d=2`},
	{"pebble merging_iter, the older source behind", `
		batch e=10 g=20; compact; batch a=30 c=27; flush; iter; first a=30; next c=27; next e=10; next g=20; next none
		iter; ge d e=10; next g=20; next none; iter; last g=20; prev e=10; prev c=27; prev a=30; iter; lt h g=20; prev e=10
		iter; lt f e=10; prev c=27; prev a=30; iter; first a=30; ge e e=10; next g=20`},
	{"pebble merging_iter, the older source before", `
		batch a=10 b=12; compact; batch c=30 d=27; flush; iter; first a=10; next b=12; next c=30; next d=27
		iter; ge a a=10; next b=12; next c=30; next d=27; iter; last d=27; prev c=30; prev b=12; prev a=10
		iter; lt e d=27; prev c=30; prev b=12; prev a=10`},
	{"pebble merging_iter, turns at a bound", `
		batch a=9 b=8 c=7 d=6; flush; iter c; ge c c=7; prev none; prev none; next c=7
		iter '' c; lt c b=8; next none; next none; prev b=8`},
	{"pebble merging_iter, turns at a lower bound of two sources", `
		batch c=5 d=4 e=3 f=2; compact; batch a=9 b=8 c=7 d=6; flush; iter d; ge d d=6; prev none; prev none; next d=6; next e=3`},
	{"pebble merging_iter, turns at an upper bound of two sources", `
		batch a=5 b=4 c=3 d=2; compact; batch c=9 d=8 e=7 f=6; flush; iter '' d; lt d c=9; next none; next none; prev c=9; prev b=4`},
}
