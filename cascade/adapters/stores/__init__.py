"""Stores: where results outlive the run."""
