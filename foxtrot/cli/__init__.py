"""The command line, ``foxtrot``: thin commands over ``foxtrot.app``. Exit codes: see ``foxtrot.app.failures``."""
