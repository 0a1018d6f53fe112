"""S3 in a folder: the objects are files, an index lists them, and moto answers all other requests."""
