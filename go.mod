module github.com/ashlar-go/ashlar

go 1.26.0

require (
	github.com/cespare/xxhash/v2 v2.3.0
	golang.org/x/sync v0.25.0
	pgregory.net/rapid v1.3.0
)
