"""Typed views, templates, browser code and reports."""
