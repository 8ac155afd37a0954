"""What jobs wait for, mended by an operator: queues and their messages, pauses, and locks."""
