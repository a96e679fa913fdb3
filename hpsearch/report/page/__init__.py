"""The page: one HTML file that tells a study to a person, without network."""
