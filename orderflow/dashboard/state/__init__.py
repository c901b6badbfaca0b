"""The running day in memory: instruments, minutes, roll-ups, trades."""
