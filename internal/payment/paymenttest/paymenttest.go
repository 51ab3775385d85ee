// Package paymenttest has ids for the tests of everything that carries them.
package paymenttest

import (
	"math/rand/v2"
	"sync"
	"unicode/utf8"

	"payments-dr/internal/payment"
)

// IDs are ids that a new payment may have, all different, the same at every call. payment.CheckNewID is asked what they may be: each
// character that it takes stands alone, in a row, in front, in the middle and at the end, and each length is there, made of random
// characters. In scripts other than Latin it is asked about a sample.
func IDs() []string { return ids() }

var ids = sync.OnceValue(func() []string {
	var all []string
	taken := map[string]bool{}
	add := func(id string) {
		if !taken[id] && payment.CheckNewID("id", id) == nil {
			taken[id] = true
			all = append(all, id)
		}
	}
	var alphabet []rune
	for r := range rune(utf8.MaxRune + 1) {
		if asked(r) && payment.CheckNewID("id", "a"+string(r)+"a") == nil {
			alphabet = append(alphabet, r)
		}
	}
	for _, r := range alphabet[:min(len(alphabet), 200)] { // a rule that takes more has failed by then
		one := string(r)
		for _, id := range []string{one, one + one, "a" + one, one + "a", "a" + one + "a"} {
			add(id)
		}
	}
	for rest := alphabet; len(rest) > 0; {
		packed := rest[:min(len(rest), payment.MaxIDBytes/utf8.UTFMax)]
		rest = rest[len(packed):]
		add(string(packed))
	}
	random := rand.New(rand.NewPCG(1, 255))
	for length := 1; length <= payment.MaxIDBytes; length++ {
		id := make([]rune, length)
		for i := range id {
			id[i] = alphabet[random.IntN(len(alphabet))]
		}
		add(string(id))
	}
	return all
})

// asked is all of ASCII and Latin, the end of the first plane, where SQS draws a limit, and a sample of the rest.
func asked(r rune) bool {
	return utf8.ValidRune(r) && (r < 0x300 || r >= 0xFF00 && r <= 0xFFFF || r%1000 == 0)
}
