"""What PRX makes of a component's exports: one module per kind of world."""
