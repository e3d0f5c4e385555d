package main

// Main is for the scripts, which run the command itself.
var Main = main
