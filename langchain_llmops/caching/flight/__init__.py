"""One call for everybody who asks the same thing at the same time."""
