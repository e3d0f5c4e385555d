package e2e

func wordpressChecks() []check { return nil }
