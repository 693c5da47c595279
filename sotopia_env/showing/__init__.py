"""Episodes for people to read: what is shown of them, in a terminal and on a page."""
