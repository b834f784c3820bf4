"""Foxtrot: a Python-native, multi-process trading platform."""
