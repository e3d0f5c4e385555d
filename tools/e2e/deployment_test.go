package e2e

func deploymentChecks() []check { return nil }
