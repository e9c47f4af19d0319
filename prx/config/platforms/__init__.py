"""The platforms' own keys: one module for each platform, named as its type. Imported when one is configured."""
