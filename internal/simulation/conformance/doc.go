// Package conformance holds the simulated AWS (packages simulation, eventbus and publicname) against the services'
// documentation and against an emulator that others keep, moto. It has tests and nothing else.
//
// A case in testdata says what is done, what the documentation says of it, on which page, and where moto or the simulation
// differs from that and why. scripts/record-conformance puts the cases to moto and writes its answers to
// testdata/recorded.json; the tests need neither moto nor Python. Where moto has nothing, the cases are tables in the tests.
// docs/explain/simulation.md is the overview.
package conformance
