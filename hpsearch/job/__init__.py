"""One run, from options to last words: what it works on, its phases, its budget, its records."""
