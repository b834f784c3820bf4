"""Composition: settings become engines and processes; what the services and the command line both call."""
