"""Program 1: a channel of labelled photos in, a model artifact and its records out."""
