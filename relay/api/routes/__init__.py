"""One file a resource: handlers, and OPERATIONS, the specification that makes them routes."""
