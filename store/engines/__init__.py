"""Where sealed rows are kept: the contract, and one folder for each engine."""
