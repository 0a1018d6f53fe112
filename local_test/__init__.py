"""How a person tries the images without AWS: local mode, plain `docker run`, and the container contract from outside."""
