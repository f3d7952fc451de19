"""What XLA made of a program: its memory, products, traffic and collectives, for chips that are not here."""
