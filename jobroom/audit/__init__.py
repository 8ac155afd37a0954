"""The audit: every act of a person on jobs, queues, workers, locks and the rest, kept for good."""
