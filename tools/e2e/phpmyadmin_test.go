package e2e

func phpmyadminChecks() []check { return nil }
