"""The configuration: its schema, its layers, and how it is found."""
