"""A module or package for each platform, named as its type, with a `connect`; imported when a channel needs it."""
