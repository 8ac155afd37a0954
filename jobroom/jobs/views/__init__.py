"""What the jobs app shows: pages, the launch form, and the actions on one job and on many."""
