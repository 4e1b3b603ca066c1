// The program of the containers: on each port that it is given it tells whoever asks, by TCP or UDP, where the question seems to come from.
package main

import (
	"fmt"
	"log"
	"net"
	"os"
	"syscall"
)

func main() {
	for _, port := range os.Args[1:] {
		socket, err := net.ListenPacket("udp", ":"+port)
		if err != nil {
			log.Fatal(err)
		}
		listener, err := net.Listen("tcp", ":"+port)
		if err != nil {
			log.Fatal(err)
		}
		go answerConnections(listener)
		go answerDatagrams(socket)
	}
	for {
		syscall.Pause()
	}
}

func answerConnections(listener net.Listener) {
	for {
		caller, err := listener.Accept()
		if err != nil {
			log.Fatal(err)
		}
		fmt.Fprintln(caller, host(caller.RemoteAddr()))
		caller.Close()
	}
}

func answerDatagrams(socket net.PacketConn) {
	for {
		_, caller, err := socket.ReadFrom(make([]byte, 1))
		if err != nil {
			log.Fatal(err)
		}
		socket.WriteTo([]byte(host(caller)+"\n"), caller)
	}
}

func host(address net.Addr) string {
	host, _, _ := net.SplitHostPort(address.String())
	return host
}
