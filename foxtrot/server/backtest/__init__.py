"""The parts of the backtester: the world it runs in, the loop, and what it records."""
