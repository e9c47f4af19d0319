"""The composition root: makes every part, joins them, and ends them in reverse. The only package that knows all."""
