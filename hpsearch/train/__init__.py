"""Trains one configuration and yields its score at each rung. Plain torch, without Ray."""
