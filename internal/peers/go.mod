module github.com/ashlar-go/ashlar/internal/peers

go 1.26.0

require (
	github.com/ashlar-go/ashlar v0.0.0
	github.com/didip/tollbooth/v7 v7.0.2
	github.com/hashicorp/golang-lru v0.5.4
	github.com/juju/ratelimit v1.0.2
	github.com/sethvargo/go-limiter v0.7.1
	github.com/throttled/throttled/v2 v2.15.0
	github.com/ulule/limiter/v3 v3.11.2
	go.uber.org/ratelimit v0.3.1
	golang.org/x/time v0.16.0
)

require (
	github.com/benbjohnson/clock v1.3.0 // indirect
	github.com/go-pkgz/expirable-cache/v3 v3.0.0 // indirect
	github.com/kr/text v0.2.0 // indirect
	github.com/pkg/errors v0.9.1 // indirect
)

replace github.com/ashlar-go/ashlar => ../..
