// The one program of every pod in these tests: it tells whoever connects to port 8080 where the connection seems to come from.
package main

import (
	"fmt"
	"net"
	"syscall"
	"time"
)

func main() {
	listener, err := net.Listen("tcp", ":8080")
	if err != nil { // a pod in the node's own network may find the port taken
		syscall.Pause()
	}
	for {
		caller, err := listener.Accept()
		if err != nil {
			time.Sleep(time.Second)
			continue
		}
		fmt.Fprintln(caller, caller.RemoteAddr())
		caller.Close()
	}
}
