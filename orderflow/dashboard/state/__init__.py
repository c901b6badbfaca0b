"""What is known of the running day, in memory: instruments, minutes, roll-ups, trades."""
