"""The documents, and the programs that write the generated parts of the documents."""
