"""S3 in a folder: the objects are files, an index lists them, and moto answers what is not done here."""
