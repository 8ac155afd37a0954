"""The mathematics of the spam detector, without Django: recipes, training, measuring, keeping."""
