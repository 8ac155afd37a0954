"""The picture of a graph: which boxes are drawn, where they go, and the SVG."""
