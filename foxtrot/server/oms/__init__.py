"""The managers of the OMS: pure folds of commands and reports, free of I/O, clocks and threads."""
