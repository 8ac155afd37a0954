"""Ontologies: vocabularies of terms, and texts annotated with them."""
