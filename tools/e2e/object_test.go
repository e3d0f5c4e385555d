package e2e

func objectChecks() []check { return nil }
