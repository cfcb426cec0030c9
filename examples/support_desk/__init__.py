"""Answers customers who want several things at once: what is due is done, what fails is undone and told."""
