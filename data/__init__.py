"""Commands that make datasets; the code behind them is in the package."""
