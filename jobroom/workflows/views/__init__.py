"""What the workflows app shows: the list, one workflow with its parts, and what is done to it."""
