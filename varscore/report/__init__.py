"""Pages for people: one HTML file that needs no network, with pictures, tables and the data they show."""
