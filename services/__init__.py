"""One small entry point per operating-system process; what they run is in ``foxtrot.app``."""
