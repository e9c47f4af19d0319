"""What answers look like: one file per resource, read by `GET /openapi.json` and by the tests, not at a request."""
