"""Every key of option files, declared once: its type, range, default and one line of text."""
