"""The remote strategy client."""
