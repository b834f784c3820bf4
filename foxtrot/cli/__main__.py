"""``python -m foxtrot.cli`` is the same as ``foxtrot``."""

from foxtrot.cli.main import main

if __name__ == "__main__":
    main()
