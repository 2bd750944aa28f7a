"""Pulls that land in Google Cloud."""
