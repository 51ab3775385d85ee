package simulation

import (
	"net/http"
	"sync"
)

// Reach is whether an endpoint can be reached. While it cannot, it is silent as a lost Region is: connections are taken and
// nothing comes back, not for what was under way either. The zero value can be reached.
type Reach struct {
	mu   sync.Mutex
	lost chan struct{} // open while the endpoint is lost, closed when it is back; nil when it was never lost
	down bool
}

// SetDown loses the endpoint, or brings it back.
func (r *Reach) SetDown(down bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if down == r.down {
		return
	}
	r.down = down
	if down {
		r.lost = make(chan struct{})
	} else {
		close(r.lost)
	}
}

// Down is whether the endpoint is lost.
func (r *Reach) Down() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.down
}

// Guard puts the endpoint before a handler. Whoever asks while it is lost, or is not answered before, waits until they give up;
// what they asked may have been done.
func (r *Reach) Guard(handler http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		if !r.Down() {
			recorded := &lateWriter{header: http.Header{}}
			handler.ServeHTTP(recorded, request)
			if !r.Down() {
				recorded.writeTo(w)
				return
			}
		}
		r.mu.Lock()
		back := r.lost
		r.mu.Unlock()
		select {
		case <-request.Context().Done():
		case <-back:
		}
		panic(http.ErrAbortHandler)
	})
}

// lateWriter keeps an answer until it is known whether it may go out.
type lateWriter struct {
	header http.Header
	status int
	body   []byte
}

func (w *lateWriter) Header() http.Header { return w.header }

func (w *lateWriter) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
}

func (w *lateWriter) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	w.body = append(w.body, p...)
	return len(p), nil
}

func (w *lateWriter) writeTo(out http.ResponseWriter) {
	for name, values := range w.header {
		out.Header()[name] = values
	}
	if w.status != 0 {
		out.WriteHeader(w.status)
	}
	_, _ = out.Write(w.body) // the caller is gone otherwise
}
