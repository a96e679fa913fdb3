"""From the best configuration to an export and a submission."""
