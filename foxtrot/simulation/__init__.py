"""The simulated exchange: books, matching, fees, sizing and margin; no I/O and no clock of its own."""
