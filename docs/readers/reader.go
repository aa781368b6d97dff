// Prints the records of its pipes, one a line.   go build -o reader reader.go
package main

import (
	"bufio"
	"encoding/binary"
	"io"
	"os"
	"os/signal"
	"strconv"
	"syscall"
)

func printRecords(fd int) error {
	pipe := bufio.NewReaderSize(os.NewFile(uintptr(fd), "pipe"), 1<<18)
	var head [4]byte
	for {
		if _, err := io.ReadFull(pipe, head[:]); err == io.EOF { // ReadFull goes on after a short read
			return nil
		} else if err != nil {
			return err // io.ErrUnexpectedEOF: the pipe has ended inside a length
		}
		record := make([]byte, binary.LittleEndian.Uint32(head[:]))
		if _, err := io.ReadFull(pipe, record); err != nil {
			return io.ErrUnexpectedEOF
		}
		if _, err := os.Stdout.Write(append(record, '\n')); err != nil { // one call: lines stay whole
			return err
		}
	}
}

func main() {
	signal.Ignore(syscall.SIGTERM) // the end of the pipes is the end
	code, ends := 0, make(chan error)
	for _, argument := range os.Args[1:] {
		fd, _ := strconv.Atoi(argument)
		go func() { ends <- printRecords(fd) }()
	}
	for range os.Args[1:] {
		switch err := <-ends; {
		case err == nil:
		case err != io.ErrUnexpectedEOF:
			code = 74
		case code == 0:
			code = 65
		}
	}
	os.Exit(code)
}
