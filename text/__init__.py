"""Text models: spam, fingerprints, key phrases and languages."""
