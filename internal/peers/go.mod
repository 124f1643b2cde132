module github.com/ashlar-go/ashlar/internal/peers

go 1.26.0

require (
	github.com/ashlar-go/ashlar v0.0.0
	github.com/buraksezer/consistent v1.0.0
	github.com/cespare/xxhash/v2 v2.3.0
	github.com/dgryski/go-jump v0.0.0-20170409065014-e1f439676b57
	github.com/dgryski/go-maglev v0.0.0-20200611225407-8961b9b1b8e6
	github.com/dgryski/go-rendezvous v0.0.0-20200823014737-9f7001d12a5f
	github.com/didip/tollbooth/v7 v7.0.2
	github.com/golang/groupcache v0.0.0-20241129210726-2c02b8208cf8
	github.com/hashicorp/golang-lru v0.5.4
	github.com/juju/ratelimit v1.0.2
	github.com/lafikl/consistent v0.0.0-20220512074542-bdd3606bfc3e
	github.com/serialx/hashring v0.0.0-20200727003509-22c0c7ab6b1b
	github.com/sethvargo/go-limiter v0.7.1
	github.com/throttled/throttled/v2 v2.15.0
	github.com/ulule/limiter/v3 v3.11.2
	go.uber.org/ratelimit v0.3.1
	golang.org/x/time v0.16.0
	stathat.com/c/consistent v1.0.0
)

require (
	github.com/benbjohnson/clock v1.3.0 // indirect
	github.com/dchest/siphash v1.2.3 // indirect
	github.com/go-pkgz/expirable-cache/v3 v3.0.0 // indirect
	github.com/kr/text v0.2.0 // indirect
	github.com/minio/blake2b-simd v0.0.0-20160723061019-3f5f724cb5b1 // indirect
	github.com/pkg/errors v0.9.1 // indirect
)

replace github.com/ashlar-go/ashlar => ../..
