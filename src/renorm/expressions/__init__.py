"""Things that are written as text, such as ``gamma(shape=2)`` or ``maximum(xi=0)``: a class each, its fields the arguments."""
