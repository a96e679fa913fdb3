"""Which trial trains next: the engine, a pure function of its journal. The only room with optuna; no Ray, no torch."""
