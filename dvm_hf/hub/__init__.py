"""The way to the Hub: push a prepared folder, all of it or nothing."""
