"""An app that counts rounds of housekeeping, so that a test knows that those who repair have looked."""
