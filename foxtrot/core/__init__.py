"""Values and time: constants, objects, events, clock, event engine, ids, configuration, errors, log."""
