"""Program 1, training: it reads a channel of labelled photos and writes a model artifact and records."""
