"""The engines of a process, one file each."""
