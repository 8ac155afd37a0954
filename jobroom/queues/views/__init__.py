"""The pages of queues, pauses and locks, and their actions: every one is a POST that redirects with 303."""
