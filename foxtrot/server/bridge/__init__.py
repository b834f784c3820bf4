"""The OMS on the bus: its ways to adapters in other processes, its answers, and what it publishes."""
