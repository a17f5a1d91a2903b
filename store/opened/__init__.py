"""One opened namespace and its parts."""
