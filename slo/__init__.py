"""Objectives and counts to SLIs, error budgets and burn rates; pure."""
