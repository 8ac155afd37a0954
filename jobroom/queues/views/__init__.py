"""The pages of queues, pauses and locks, and what is done from them: every action is a POST that answers 303."""
