"""How processes talk: the wire between one MainEngine and the others."""
