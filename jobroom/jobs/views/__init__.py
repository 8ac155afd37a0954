"""The pages of the jobs app, and the actions on one job and on many."""
