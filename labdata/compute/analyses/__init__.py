"""Analyses that come with labdata, one a module."""
