"""What the web process needs below Django's views: threads, limits and headers."""
