"""What all pages share: base templates, menu, styles and scripts."""
