package e2e

func startChecks() []check { return nil }
