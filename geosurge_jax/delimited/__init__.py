"""Delimited text files written by other people: encodings and CSV records."""
