"""What a score is worth: intervals, splits, audits."""
