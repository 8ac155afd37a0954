"""The picture of a graph: what is drawn, where it goes, and its SVG."""
