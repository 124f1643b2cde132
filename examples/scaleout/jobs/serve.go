// SPDX-License-Identifier: MIT

package main

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/ashlar-go/ashlar/examples/scaleout/servers"
)

// natsKind is this program with a server of NATS in it, in a process of its own
// that can be killed.
var natsKind = servers.Self("nats", "PING\r\n", "INFO")

// serveNATS is that process. Each message is synced before it is acknowledged.
func serveNATS(args []string) error {
	if len(args) != 2 {
		return fmt.Errorf("serve wants a directory and a port, got %q", args)
	}
	port, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	s, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: port, JetStream: true, StoreDir: args[0], SyncAlways: true, NoLog: true,
	})
	if err != nil {
		return err
	}
	s.Start()
	if !s.ReadyForConnections(30 * time.Second) {
		return errors.New("the server is not ready")
	}
	s.WaitForShutdown()
	return nil
}
