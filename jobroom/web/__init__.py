"""What the web process needs below Django: threads, limits and headers."""
