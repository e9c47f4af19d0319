"""One file per resource of the REST API; a view has no `try` and no logic."""
