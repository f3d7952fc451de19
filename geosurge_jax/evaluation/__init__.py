"""From posteriors to coordinates, from coordinates to metrics, tables, maps and a report.

Knows `geo` and the posterior type. Distances, comparisons and intervals are named wherever a number
is printed.
"""
