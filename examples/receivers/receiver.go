// Receives the webhooks of one hook: checks each, keeps it, answers, and works in order. WEBHOOK_SECRET=whsec_... go run receiver.go
package main

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"math"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

// A line of the inbox is an event, or a number that is done.
type line struct {
	ID       string          `json:"id,omitempty"`
	Sequence int             `json:"sequence,omitempty"`
	Told     json.RawMessage `json:"told,omitempty"`
	Done     int             `json:"done,omitempty"`
}

var (
	key     []byte
	lock    sync.Mutex
	inbox   *os.File                    // in your product: a table
	ids     = map[string]bool{}         // of all that was kept
	waiting = map[int]json.RawMessage{} // by number
	done    int                         // all up to this number is worked on
	arrived = make(chan struct{}, 1)
)

// Yours. It may take long; it is called once for each event, in order, and again only where the program died within it.
func work(sequence int, told json.RawMessage) {
	fmt.Println(sequence, string(told))
}

// Whether it was signed with the secret, less than five minutes ago.
func genuine(key []byte, header http.Header, body []byte) bool {
	timestamp := header.Get("webhook-timestamp")
	seconds, err := strconv.ParseInt(timestamp, 10, 64)
	if err != nil || math.Abs(float64(time.Now().Unix()-seconds)) > 300 {
		return false
	}
	mac := hmac.New(sha256.New, key)
	fmt.Fprintf(mac, "%s.%s.%s", header.Get("webhook-id"), timestamp, body)
	expected := []byte("v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	for _, given := range strings.Split(header.Get("webhook-signature"), " ") {
		if hmac.Equal([]byte(given), expected) {
			return true
		}
	}
	return false
}

// A line begins with its line break, so that one that was cut short spoils no other.
func write(one line) error {
	text, err := json.Marshal(one)
	if err == nil {
		_, err = inbox.Write(append([]byte("\n"), text...))
	}
	if err == nil {
		err = inbox.Sync()
	}
	return err
}

func remember(one line) {
	if one.Done > 0 {
		done = one.Done
		delete(waiting, done)
	} else {
		ids[one.ID], waiting[one.Sequence] = true, one.Told
	}
}

func receive(answer http.ResponseWriter, request *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(answer, request.Body, 1_000_000))
	if err != nil || !genuine(key, request.Header, body) {
		answer.WriteHeader(http.StatusUnauthorized)
		return
	}
	sequence, _ := strconv.Atoi(request.Header.Get("tidings-sequence"))
	id := request.Header.Get("webhook-id")
	lock.Lock()
	defer lock.Unlock()
	if sequence > 0 && !ids[id] { // a test has no number, a repeat the same id
		one := line{ID: id, Sequence: sequence, Told: body}
		if err := write(one); err != nil {
			answer.WriteHeader(http.StatusInternalServerError) // it will come again
			return
		}
		remember(one)
		select {
		case arrived <- struct{}{}:
		default:
		}
	}
}

// In the order of the numbers; what comes after a missing one waits for it.
func workOff() {
	for ; ; <-arrived {
		for {
			lock.Lock()
			sequence := done + 1
			told, there := waiting[sequence]
			lock.Unlock()
			if !there {
				break
			}
			work(sequence, told)
			lock.Lock()
			if err := write(line{Done: sequence}); err != nil {
				log.Fatal(err)
			}
			remember(line{Done: sequence})
			lock.Unlock()
		}
	}
}

func or(name, otherwise string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return otherwise
}

func main() {
	var err error
	secret := strings.TrimRight(strings.TrimPrefix(os.Getenv("WEBHOOK_SECRET"), "whsec_"), "=")
	if key, err = base64.RawStdEncoding.DecodeString(secret); err != nil || len(key) == 0 {
		log.Fatal("WEBHOOK_SECRET has to be the webhook's secret, whsec_...")
	}
	first, _ := strconv.Atoi(or("FIRST", "1")) // the number to begin with, for a hook that has sent some already
	done = first - 1
	if inbox, err = os.OpenFile(or("INBOX", "inbox.jsonl"), os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600); err != nil {
		log.Fatal(err)
	}
	kept, err := io.ReadAll(inbox)
	if err != nil {
		log.Fatal(err)
	}
	for _, text := range bytes.Split(kept, []byte("\n")) {
		var one line
		if json.Unmarshal(text, &one) == nil { // else empty, or cut short by a crash before it was answered
			remember(one)
		}
	}
	listener, err := net.Listen("tcp", "127.0.0.1:"+or("PORT", "8701"))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("Listening on http://%s\n", listener.Addr())
	go workOff()
	log.Fatal(http.Serve(listener, http.HandlerFunc(receive)))
}
