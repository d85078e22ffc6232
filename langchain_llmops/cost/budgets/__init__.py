"""Budgets: limits that hold while many calls run at once."""
