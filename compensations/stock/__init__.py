"""The undos of the stock tools."""
