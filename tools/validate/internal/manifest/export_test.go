package manifest

// RemovedBefore is for the test that compares it with go.mod.
const RemovedBefore = removedBefore
