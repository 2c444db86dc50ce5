"""The application once more, plainly, for servers that others wrote: it must neither hide nor cause what they do wrong."""
