package e2e

func ftpsChecks() []check { return nil }
