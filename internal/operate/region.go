package operate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/smithy-go/middleware"
)

// Unanswered reports whether it is not known how something is, or was not done, because nobody could be asked: as against an answer
// that is a no.
func (p *Problem) Unanswered() bool { return p.Kind != KindRefused }

// Transient reports whether asking again may help.
func (p *Problem) Transient() bool {
	return p.Kind == KindUnreachable || p.Kind == KindThrottled || p.Kind == KindMalformed
}

// SignIn gets the credentials. Its error is a Problem of KindCredentials.
func (d *Deployment) SignIn(ctx context.Context) error {
	if err := d.signIn(ctx); err != nil {
		return Explain(err)
	}
	return nil
}

// Deployed makes sure that the environment is deployed in a Region, to the account of the credentials. Its error is a Problem.
func (d *Deployment) Deployed(ctx context.Context, region Region) error {
	if _, err := d.planARN(ctx, region); err != nil {
		return Explain(err)
	}
	return nil
}

// Writer is the Region whose cluster takes writes, as every Region says that answers. Its error is a Problem; of KindRefused if the
// Regions answer and do not agree.
func (d *Deployment) Writer(ctx context.Context) (string, error) {
	views, problems := map[string]string{}, make([]*Problem, len(d.Regions))
	var all sync.WaitGroup
	var mu sync.Mutex
	for i, region := range d.Regions {
		all.Go(func() {
			said, err := limited(ctx, func(ctx context.Context) (Database, error) { return d.database(ctx, region) })
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				problems[i] = Explain(err)
				return
			}
			views[region.Name] = said.Writer()
		})
	}
	all.Wait()
	if len(views) == 0 {
		var each []string
		for i, region := range d.Regions {
			each = append(each, region.Name+": "+problems[i].Text)
		}
		return "", &Problem{cmp.Or(problems[0], problems[1]).Kind, "no Region says who the writer is. " + strings.Join(each, "; ")}
	}
	s := Status{Regions: make([]RegionStatus, len(d.Regions))}
	for i, region := range d.Regions {
		s.Regions[i].Region = region.Name
	}
	s.judgeWriter(views)
	if s.Writer == "" {
		return "", &Problem{KindRefused, s.WriterDoubt}
	}
	return s.Writer, nil
}

func (r Region) within(limit time.Duration) aws.Config { return Within(r.Config, limit) }

// Within is a configuration with a time limit for each call, including its retries.
func Within(config aws.Config, limit time.Duration) aws.Config {
	config = config.Copy()
	config.APIOptions = append(config.APIOptions[:len(config.APIOptions):len(config.APIOptions)], func(stack *middleware.Stack) error {
		return stack.Initialize.Add(middleware.InitializeMiddlewareFunc("CallLimit",
			func(ctx context.Context, in middleware.InitializeInput, next middleware.InitializeHandler) (middleware.InitializeOutput, middleware.Metadata, error) {
				limited, cancel := context.WithTimeout(ctx, limit)
				defer cancel()
				out, metadata, err := next.HandleInitialize(limited, in)
				if err != nil && ctx.Err() == nil && errors.Is(limited.Err(), context.DeadlineExceeded) {
					err = &Problem{KindUnreachable, "no answer within " + limit.String()}
				}
				return out, metadata, err
			}), middleware.Before)
	})
	return config
}

// workTimeout bounds a call that does something, and is not only asked how things are.
const workTimeout = 10 * time.Second

// tolerance is a patience with answers that do not come: after each failure that asking again may mend, as long as they follow one
// another for no longer than the patience.
type tolerance struct {
	patience time.Duration
	now      func() time.Time
	tell     func(name, text string)

	mu    sync.Mutex
	since map[string]time.Time
}

func newTolerance(patience time.Duration, now func() time.Time, tell func(name, text string)) *tolerance {
	return &tolerance{patience: patience, now: now, tell: tell, since: map[string]time.Time{}}
}

// failed is told of a failure, and says whether to ask again.
func (t *tolerance) failed(name string, err error) bool {
	problem := Explain(err)
	if !problem.Transient() {
		return false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	since, ok := t.since[name]
	if !ok {
		since = t.now()
		t.since[name] = since
		t.tell(name, problem.Text+"; asking again")
	}
	return t.now().Sub(since) < t.patience
}

// answered is told that there was an answer.
func (t *tolerance) answered(name string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.since, name)
}

// ParseMoment reads a moment as an operator gives it: a time of RFC 3339, or how long ago, such as 2h or 90m.
func ParseMoment(text string, now time.Time) (time.Time, error) {
	if at, err := time.Parse(time.RFC3339, text); err == nil {
		return at.UTC(), nil
	}
	if ago, err := time.ParseDuration(text); err == nil && ago >= 0 {
		return now.UTC().Add(-ago).Truncate(time.Second), nil
	}
	return time.Time{}, fmt.Errorf("it is %q; allowed is a time of RFC 3339, such as %s, or how long ago, such as 2h", text, now.UTC().Add(-2*time.Hour).Truncate(time.Minute).Format(time.RFC3339))
}
