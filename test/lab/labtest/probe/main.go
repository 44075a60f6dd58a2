// Probe is what the lab's own tests run in pods and nodes: it answers for where it is, and
// tries on request what the place allows.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"
)

func main() {
	var err error
	switch {
	case len(os.Args) == 2 && os.Args[1] == "serve":
		err = serve()
	case len(os.Args) == 3 && os.Args[1] == "hold":
		err = hold(os.Args[2])
	default:
		err = errors.New("usage: probe serve | hold FILE")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// serve does what it is asked at :8080 and answers with what came of it; an error is 502.
func serve() error {
	handle := func(path string, f func(*http.Request) (string, error)) {
		http.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			answer, err := f(r)
			if err != nil {
				w.WriteHeader(http.StatusBadGateway)
				answer = err.Error()
			}
			_, _ = io.WriteString(w, answer)
		})
	}
	handle("/", func(*http.Request) (string, error) { return os.Hostname() })
	handle("/get", func(r *http.Request) (string, error) {
		client := http.Client{Timeout: time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
		resp, err := client.Get(r.FormValue("url"))
		if err != nil {
			return "", err
		}
		defer func() { _ = resp.Body.Close() }()
		b, err := io.ReadAll(resp.Body)
		return string(b), err
	})
	handle("/lookup", func(r *http.Request) (string, error) {
		ctx, cancel := context.WithTimeout(r.Context(), 2*time.Second)
		defer cancel()
		addresses, err := net.DefaultResolver.LookupHost(ctx, r.FormValue("name"))
		return strings.Join(addresses, " "), err
	})
	handle("/write", func(r *http.Request) (string, error) {
		return "", os.WriteFile(r.FormValue("path"), []byte(r.FormValue("text")), 0o644)
	})
	handle("/read", func(r *http.Request) (string, error) {
		b, err := os.ReadFile(r.FormValue("path"))
		return string(b), err
	})
	handle("/eat", func(r *http.Request) (string, error) {
		size, err := strconv.Atoi(r.FormValue("mib"))
		if err != nil {
			return "", err
		}
		b := make([]byte, size<<20)
		for i := 0; i < len(b); i += 4096 {
			b[i] = 1
		}
		return fmt.Sprint(len(b)), nil
	})
	return http.ListenAndServe(":8080", nil)
}

// hold keeps a file open and answers each line of its input with what becomes of a read
// past the cache and a write: "read WORD write WORD", where ok is the word for success.
func hold(path string) error {
	const block = 4096
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|syscall.O_DIRECT, 0o644)
	if err != nil {
		return err
	}
	// Direct access wants memory that is aligned like the disk.
	raw := make([]byte, 2*block)
	shift := block - int(uintptr(unsafe.Pointer(&raw[0]))%block)
	b := raw[shift : shift+block]
	line := make([]byte, 64)
	for {
		_, writeErr := f.WriteAt(b, 0)
		if writeErr == nil {
			writeErr = f.Sync()
		}
		_, readErr := f.ReadAt(b, 0)
		fmt.Printf("read %s write %s\n", word(readErr), word(writeErr))
		if _, err := os.Stdin.Read(line); err != nil {
			return nil //nolint:nilerr // the test closed the input: that is the end
		}
	}
}

func word(err error) string {
	var number syscall.Errno
	switch {
	case err == nil:
		return "ok"
	case errors.As(err, &number) && number == syscall.EIO:
		return "EIO"
	case errors.As(err, &number) && number == syscall.EROFS:
		return "EROFS"
	default:
		return strings.ReplaceAll(err.Error(), " ", "_")
	}
}
