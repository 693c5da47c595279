"""Playing on a page of this machine: the games as each seat sees them, and the server that shows them."""
