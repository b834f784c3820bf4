"""Pure folds of money and positions, used by the OMS and by the simulated exchange alike."""
