"""From float to int8: recipes, ranges, repairs of the weights, two quantisers."""
