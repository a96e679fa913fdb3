"""This machine's figures, and the peers they are compared with."""
