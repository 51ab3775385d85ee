package localmysql

import (
	"bytes"
	"net"
	"sync"
	"time"
)

// wire carries a replication's connection: what the source sends once it is asked for its log arrives later by the lag.
type wire struct {
	changed *sync.Cond
	lag     time.Duration
}

func (w *wire) setLag(lag time.Duration) {
	w.changed.L.Lock()
	defer w.changed.L.Unlock()
	w.lag = lag
	w.changed.Broadcast()
}

// packetOnTheWay is what the source has sent in one go, and when.
type packetOnTheWay struct {
	bytes []byte
	sent  time.Time
}

// carry is one connection. What is on the way when it breaks is lost.
func (w *wire) carry(follower, source net.Conn) {
	var onTheWay []packetOnTheWay
	replicating, broken := false, false
	breakOff := func() {
		_, _ = source.Close(), follower.Close()
		w.changed.L.Lock()
		defer w.changed.L.Unlock()
		broken = true
		w.changed.Broadcast()
	}
	var running sync.WaitGroup
	running.Go(func() {
		defer breakOff()
		read(follower, func(sent []byte) error {
			if isDump(sent) {
				w.changed.L.Lock()
				replicating = true
				w.changed.L.Unlock()
			}
			_, err := source.Write(sent)
			return err
		})
	})
	running.Go(func() {
		defer breakOff()
		read(source, func(sent []byte) error {
			w.changed.L.Lock()
			defer w.changed.L.Unlock()
			p := packetOnTheWay{bytes: bytes.Clone(sent)}
			if replicating {
				p.sent = time.Now()
			}
			onTheWay = append(onTheWay, p)
			w.changed.Broadcast()
			return nil
		})
	})
	running.Go(func() {
		defer breakOff()
		for {
			w.changed.L.Lock()
			for !broken && (len(onTheWay) == 0 || time.Until(onTheWay[0].sent.Add(w.lag)) > 0) {
				if len(onTheWay) == 0 {
					w.changed.Wait()
				} else {
					waitFor(w.changed, time.Until(onTheWay[0].sent.Add(w.lag)))
				}
			}
			if broken {
				w.changed.L.Unlock()
				return
			}
			arrived := onTheWay[0].bytes
			onTheWay = onTheWay[1:]
			w.changed.L.Unlock()
			if _, err := follower.Write(arrived); err != nil {
				return
			}
		}
	})
	running.Wait()
}

// isDump tells the command by which a follower asks for the log, COM_BINLOG_DUMP: the first packet of its exchange, after the
// four bytes of a packet's header ("COM_BINLOG_DUMP", MySQL Source Code Documentation). Nothing of the source's is late before it, or connecting
// would take many lags.
func isDump(sent []byte) bool { return len(sent) > 4 && sent[3] == 0 && sent[4] == 0x12 }

// read hands over what is read until there is no more, or until that is an error.
func read(from net.Conn, each func([]byte) error) {
	buffer := make([]byte, 1<<16)
	for {
		n, err := from.Read(buffer)
		if n > 0 && each(buffer[:n]) != nil || err != nil {
			return
		}
	}
}
