package e2e

func persistenceChecks() []check { return nil }
